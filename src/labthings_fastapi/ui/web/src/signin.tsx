// Sign in above the page, when a session has ended: nothing that was typed is lost.
import { useSignal } from "@preact/signals";
import type { VNode } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { ask, signInNeeded, words } from "./api";
import { loadAll, me, socket } from "./store";
import { t } from "./texts";

export function SignIn(): VNode | null {
  const failure = useSignal("");
  const dialog = useRef<HTMLDialogElement>(null);
  const needed = signInNeeded.value;
  useEffect(() => {
    if (needed) dialog.current?.showModal();
    else dialog.current?.close();
  }, [needed]);
  return (
    <dialog ref={dialog} aria-labelledby="sign-in-title" onCancel={(event) => event.preventDefault()}>
      <form onSubmit={(event) => {
        event.preventDefault();
        const data = new FormData(event.currentTarget);
        const secret = String(data.get("secret"));
        const name = String(data.get("name"));
        ask("session", { method: "POST", json: name ? { name, password: secret } : { token: secret } })
          .then(async () => {
            failure.value = "";
            signInNeeded.value = false;
            socket.retry();
            await loadAll();
          })
          .catch((problem: unknown) => (failure.value = words(problem)));
      }}>
        <h2 id="sign-in-title">{t.signIn}</h2>
        <p>{t.signInAgain}</p>
        <label>{t.token}<input name="secret" type="password" required autocomplete="current-password" /></label>
        <label>{t.name}<input name="name" autocomplete="username" /></label>
        {failure.value && <p class="mistake" role="alert">{failure.value}</p>}
        <button type="submit" class="primary">{t.signIn}</button>
      </form>
    </dialog>
  );
}

export function Who(): VNode | null {
  const { name, role } = me.value;
  if (!name) return null;
  return (
    <span class="who">
      <span>{name}</span> <span class="faint">{t.role[role] ?? role}</span>
      <button type="button" class="small quiet" onClick={() => {
        void ask("session", { method: "DELETE" }).finally(() => location.reload());
      }}>{t.signOut}</button>
    </span>
  );
}
