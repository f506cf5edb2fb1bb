// Small parts that several screens use.
import type { ComponentChildren, VNode } from "preact";
import { useSignal } from "@preact/signals";
import { age, iso, time } from "./format";
import { clock, socket } from "./store";
import { t } from "./texts";

export function When({ at, relative = false }: { at: number | string | null | undefined; relative?: boolean }): VNode | null {
  if (at === null || at === undefined) return null;
  const when = typeof at === "string" ? Date.parse(at) : at;
  return <time dateTime={iso(when)} title={iso(when)}>{relative ? age(clock.value - when) : time(when, clock.value)}</time>;
}

export function Badge({ kind, children, title }: { kind: "plain" | "run" | "wait" | "bad"; children: ComponentChildren; title?: string }): VNode {
  return <span class={`badge is-${kind}`} title={title}>{kind === "run" && <span class="spinner" aria-hidden="true" />}{children}</span>;
}

export function statusKind(status: string): "plain" | "run" | "wait" | "bad" {
  if (status === "running") return "run";
  if (status === "pending" || status === "cancelled") return "wait";
  return status === "error" ? "bad" : "plain";
}

export function Progress({ percent, label }: { percent: number | null | undefined; label: string }): VNode {
  const known = percent !== null && percent !== undefined;
  return <progress aria-label={label} class={known ? "" : "unknown"} max={100} value={known ? percent : undefined} />;
}

export function Failure({ children, title }: { children: ComponentChildren; title?: string }): VNode {
  return (
    <div class="failure" role="alert">
      {title && <strong>{title}</strong>}
      <p>{children}</p>
    </div>
  );
}

export function Copy({ text, label }: { text: () => string; label: string }): VNode {
  const copied = useSignal(false);
  return <button type="button" class="small quiet" onClick={() => {
    void copyText(text()).then(() => {
      copied.value = true;
      window.setTimeout(() => (copied.value = false), 1500);
    });
  }}>{copied.value ? `✓ ${t.copied}` : label}</button>;
}

// Over plain http:// a browser has no clipboard for pages, except by a selected text.
async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

export const isFresh = (generation: number): boolean => socket.open.value && generation === socket.generation.value;
