// An action as a card: its form, its runs, and the call that does the same.
import { signal, useSignal, type Signal } from "@preact/signals";
import type { VNode } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { isProblem, root, words } from "./api";
import { Labelled } from "./form";
import { title } from "./format";
import { Copy, Failure } from "./parts";
import { RunStrip } from "./run";
import { Field, type Mistake } from "./schema";
import { invoke, isOpen, may, runs, runsOf, type ActionAffordance } from "./store";
import { t } from "./texts";

// Kept while the tab is open, so that a form is as it was left: also after a restart of the server.
const forms = new Map<string, { schema: string; field: Field }>();

export function formOf(thing: string, name: string, action: ActionAffordance): Field | null {
  if (!action.input) return null;
  const key = `${thing}/${name}`;
  const schema = JSON.stringify(action.input);
  const found = forms.get(key);
  if (found?.schema === schema) return found.field;
  const field = new Field(action.input);
  forms.set(key, { schema, field });
  return field;
}

/** Forms to fill in with the values of an earlier run: thing/action → a signal that says it is done. */
export const filled: Signal<string> = signal("");

export function fillIn(thing: string, name: string, action: ActionAffordance, input: unknown): void {
  formOf(thing, name, action)?.load(withoutNulls(action, input));
  filled.value = `${thing}/${name}`;
}

// A run's input has null for what was left out and has no value of its own.
export function withoutNulls(action: ActionAffordance, input: unknown): unknown {
  if (typeof input !== "object" || input === null) return input;
  const schemas = action.input?.properties ?? {};
  return Object.fromEntries(Object.entries(input).filter(([name, value]) => {
    const schema = schemas[name];
    return value !== null || schema?.default === null || schema?.oneOf?.some((each) => each.type === "null");
  }));
}

export function ActionCard({ thing, name, action }: { thing: string; name: string; action: ActionAffordance }): VNode {
  const field = useMemo(() => formOf(thing, name, action), [thing, name, JSON.stringify(action.input)]);
  const refusal = useSignal("");
  const asking = useSignal(false);
  const showsEarlier = useSignal(false);
  runs.value; // runs that begin anywhere appear here
  const own = runsOf(thing, name).filter((each) => each.value.action === name);
  const open = own.filter((each) => isOpen(each.value));
  const shown = open.length ? open : own.slice(0, 1);
  const allowed = may(thing, "operator");
  const isStop = action["labthings:stop"] === true;
  const start = async (): Promise<void> => {
    refusal.value = "";
    let input: unknown;
    if (field) {
      const mistakes: Mistake[] = [];
      input = field.read(mistakes);
      if (mistakes.length) return;
    }
    asking.value = true;
    try {
      await invoke(thing, name, input);
    } catch (problem) {
      const left = isProblem(problem) && problem.errors && field ? field.refuse(problem.errors) : [words(problem)];
      refusal.value = left.join(" ");
    } finally {
      asking.value = false;
    }
  };
  useEffect(() => {
    if (filled.value === `${thing}/${name}`) {
      document.getElementById(`action-${thing}-${name}`)?.scrollIntoView({ block: "center" });
      filled.value = "";
    }
  }, []);
  const more = action.description && action.description !== action.title ? action.description : "";
  const concurrency = action["labthings:concurrency"];
  return (
    <section class={`card action ${field ? "" : "no-form"} ${open.length ? "active" : ""}`} id={`action-${thing}-${name}`} aria-labelledby={`title-${thing}-${name}`}>
      <form noValidate onSubmit={(event) => {
        event.preventDefault();
        if (allowed) void start();
      }}>
        <div class="action-head">
          <div class="grow">
            <h3 id={`title-${thing}-${name}`}>{title(action.title, name)}</h3>
            <p class="sub-line"><code class="name">{name}</code>
              {concurrency && concurrency !== "parallel" && <span class="tag">{concurrency === "queue" ? t.queue : concurrency === "reject" ? t.reject : t.replace}</span>}
              {action.safe && <span class="tag">{t.isSafe}</span>}
              {isStop && <span class="tag bad-text">{t.isStop}</span>}
            </p>
          </div>
          {!field && allowed && <RunButton isStop={isStop} asking={asking.value} name={name} />}
        </div>
        {more && <p class="explained">{more}</p>}
        {field && field.kind === "object" && (
          <div class="form-grid">
            {[...field.members].map(([each, inner]) => <Labelled key={each} field={inner} name={each} disabled={!allowed} onEnter={() => void start()} />)}
          </div>
        )}
        {field && field.kind !== "object" && <Labelled field={field} name={t.input} disabled={!allowed} onEnter={() => void start()} />}
        {field && allowed && (
          <div class="row action-foot">
            <RunButton isStop={isStop} asking={asking.value} name={name} />
            <span class="grow" />
            <span class="copies" title={t.copyCall}>
              <Copy label={t.asPython} text={() => pythonCall(thing, name, field)} />
              <Copy label={t.asHttp} text={() => httpCall(thing, name, field)} />
            </span>
          </div>
        )}
      </form>
      {refusal.value && <Failure title={t.refused}>{refusal.value}</Failure>}
      {shown.map((each) => <RunStrip key={each.value.id} run={each} action={action} onAgain={(input) => field?.load(withoutNulls(action, input))} />)}
      {own.length > shown.length && (
        <button type="button" class="small quiet" aria-expanded={showsEarlier.value} onClick={() => (showsEarlier.value = !showsEarlier.value)}>
          {showsEarlier.value ? "▾" : "▸"} {t.earlierRuns} ({own.length - shown.length})
        </button>
      )}
      {showsEarlier.value && own.slice(shown.length, shown.length + 10).map((each) => <RunStrip key={each.value.id} run={each} action={action} brief onAgain={(input) => field?.load(withoutNulls(action, input))} />)}
    </section>
  );
}

function RunButton({ isStop, asking, name }: { isStop: boolean; asking: boolean; name: string }): VNode {
  return <button type="submit" class={isStop ? "stop-one" : "primary"} disabled={asking} aria-label={`${t.run} ${name}`}>{isStop ? "■" : "▶"} {t.run}</button>;
}

function present(field: Field): unknown {
  return field.read([]);
}

function httpCall(thing: string, name: string, field: Field | null): string {
  const input = field ? present(field) : undefined;
  const body = input === undefined ? "" : ` \\\n  -H 'Content-Type: application/json' -d '${JSON.stringify(input).replace(/'/g, "'\\''")}'`;
  return `curl -X POST ${root}${thing}/${name}${body}\n`;
}

function pythonCall(thing: string, name: string, field: Field | null): string {
  const input = field ? present(field) : undefined;
  const given = typeof input === "object" && input !== null && !Array.isArray(input) ? Object.entries(input).map(([key, value]) => `${key}=${python(value)}`) : input === undefined ? [] : [python(input)];
  return `import labthings_fastapi as lt\n\nwith lt.ThingClient.from_url("${root}${thing}/") as ${thing.replace(/\W/g, "_")}:\n    ${thing.replace(/\W/g, "_")}.${name}(${given.join(", ")})\n`;
}

function python(value: unknown): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value as object).map(([key, each]) => `${JSON.stringify(key)}: ${python(each)}`).join(", ")}}`;
  return JSON.stringify(value);
}
