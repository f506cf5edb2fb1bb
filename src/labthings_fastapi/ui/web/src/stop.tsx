// STOP: always there, always the same. It asks over the socket, and by plain HTTP if that is silent.
import { signal } from "@preact/signals";
import type { VNode } from "preact";
import { ask, isProblem, words } from "./api";
import { isOpen, may, me, runs, socket, thingId, things } from "./store";
import { t } from "./texts";

interface Answer {
  what: string;
  state: "waiting" | "good" | "bad";
  detail: string;
}

const PATIENCE = 800;
const LONGEST = 5000;
const answers = signal<Answer[] | null>(null);

function update(index: number, state: Answer["state"], detail = ""): void {
  answers.value = (answers.value ?? []).map((each, at) => (at === index ? { ...each, state, detail } : each));
}

interface Order {
  what: string;
  thing: string;
  /** The request on the socket, and the same by HTTP. */
  members: Record<string, unknown>;
  path: string;
  method: string;
  endIsGood: boolean;
}

function orders(only: string | null): Order[] {
  const found: Order[] = [];
  for (const [thing, description] of Object.entries(things.peek())) {
    if (only !== null && thing !== only) continue;
    for (const [name, action] of Object.entries(description.actions ?? {})) {
      if (!action["labthings:stop"]) continue;
      const members = { operation: "invokeaction", thingID: description.id, name };
      found.push({ what: t.stopAction(thing, name), thing, members, path: `${thing}/${name}`, method: "POST", endIsGood: false });
    }
  }
  for (const each of Object.values(runs.peek())) {
    const run = each.peek();
    if (!isOpen(run) || (only !== null && run.thing !== only)) continue;
    if (things.peek()[run.thing]?.actions?.[run.action]?.["labthings:stop"]) continue;
    const members = { operation: "cancelaction", actionID: run.id, thingID: thingId(run.thing) };
    found.push({ what: t.stopCancel(run.thing, run.action), thing: run.thing, members, path: `action_invocations/${run.id}`, method: "DELETE", endIsGood: true });
  }
  return found.filter((each) => may(each.thing, "operator"));
}

/** Send one order on both ways, the second one only if the first is silent. The first answer counts. */
async function send(order: Order): Promise<void> {
  const overHttp = (): Promise<void> => ask(order.path, { method: order.method, signal: AbortSignal.timeout(LONGEST) }).then(() => undefined);
  if (!socket.open.peek()) return overHttp();
  let silent = 0;
  const late = new Promise<void>((resolve, reject) => {
    silent = window.setTimeout(() => overHttp().then(resolve, reject), PATIENCE);
  });
  const overSocket = socket.request(order.members).then(
    () => undefined,
    (problem: unknown) => {
      if (isProblem(problem) && problem.status === 409) throw problem; // it has ended already
      return overHttp();
    },
  );
  try {
    await Promise.race([overSocket, late]);
  } finally {
    window.clearTimeout(silent);
  }
}

/** Stop a Thing, or everything. */
export async function stopNow(only: string | null = null): Promise<void> {
  const list = orders(only);
  answers.value = list.map(({ what }) => ({ what, state: "waiting", detail: "" }));
  await Promise.all(list.map(async (order, index) => {
    try {
      await send(order);
      update(index, "good");
    } catch (problem) {
      if (order.endIsGood && isProblem(problem) && (problem.status === 409 || problem.status === 404)) update(index, "good");
      else update(index, "bad", words(problem));
    }
  }));
  if (only === null) await stopTheRest(list);
}

/** Runs that began meanwhile, or that this page did not know of, as the server lists them. */
async function stopTheRest(done: Order[]): Promise<void> {
  try {
    const answer = await ask("action_invocations?limit=200", { signal: AbortSignal.timeout(LONGEST) });
    const listed = (await answer.json()) as { id: string; status: string; action: string; phase?: string }[];
    const known = new Set(done.map((each) => each.members["actionID"]));
    const left = listed.filter((each) => (each.status === "running" || each.status === "pending") && each.phase !== "cancelling" && !known.has(each.id));
    for (const run of left) {
      const stops = done.some((each) => run.action.endsWith(`/${each.path}`));
      if (stops) continue;
      const index = (answers.value ?? []).length;
      answers.value = [...(answers.value ?? []), { what: run.action, state: "waiting", detail: "" }];
      try {
        await ask(`action_invocations/${run.id}`, { method: "DELETE" });
        update(index, "good");
      } catch (problem) {
        update(index, isProblem(problem) && problem.status === 409 ? "good" : "bad", words(problem));
      }
    }
  } catch {
    // nobody answers: the list says so already
  }
}

window.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && event.shiftKey) {
    event.preventDefault();
    void stopNow();
  }
});

function mayStop(): boolean {
  return may(null, "operator") || Object.values(me.value.things).some((role) => role !== "viewer");
}

export function StopButton(): VNode {
  const allowed = mayStop();
  return <button type="button" class="stop" aria-keyshortcuts="Shift+Escape" disabled={!allowed} title={allowed ? t.stopHint : t.stopNotAllowed} onClick={() => void stopNow()}>{t.stop}</button>;
}

export function StopReport(): VNode | null {
  const list = answers.value;
  if (!list) return null;
  const good = list.filter((each) => each.state === "good").length;
  const bad = list.filter((each) => each.state === "bad").length;
  return (
    <section class={`stop-report ${bad ? "bad" : ""}`} role="alert" aria-label={t.stopped}>
      <div class="row">
        <h2>{t.stopped}</h2>
        <span class="figure">{list.length ? t.stopSummary(good, list.length) : ""}</span>
        <span class="grow" />
        <button type="button" class="small" onClick={() => (answers.value = null)}>{t.dismiss}</button>
      </div>
      {!list.length && <p>{t.stopNothing}</p>}
      <ul>
        {list.map((each, index) => (
          <li key={index}>
            <span>{each.what}</span>
            <strong class={each.state === "bad" ? "bad-text" : ""}>{each.state === "good" ? `✓ ${t.stopAnswered}` : each.state === "bad" ? `✗ ${t.stopNoAnswer}` : t.stopWaiting}</strong>
            {each.detail && <span class="faint">{each.detail}</span>}
          </li>
        ))}
      </ul>
    </section>
  );
}
