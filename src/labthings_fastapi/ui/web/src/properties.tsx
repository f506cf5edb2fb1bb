// The properties of a Thing: what the server says on the left, what a person wants on the right.
import { useComputed, useSignal } from "@preact/signals";
import type { VNode } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { isProblem, words } from "./api";
import { age, iso, title } from "./format";
import { Control, Mistake } from "./form";
import { isFresh } from "./parts";
import { Field, hintOf, unitOf, type Mistake as Found } from "./schema";
import { clock, may, read, reading, reset, write, type Affordance } from "./store";
import { t } from "./texts";
import { pinned, togglePin } from "./thing";
import { ValueView } from "./value";
import { numbersIn } from "./format";

const SIMPLE = new Set(["number", "boolean", "text", "choice", "time"]);

export function Properties({ thing, properties }: { thing: string; properties: Record<string, Affordance> }): VNode {
  const names = Object.keys(properties);
  if (!names.length) return <p class="empty">{t.noProperties}</p>;
  return (
    <div class="properties" role="table" aria-labelledby="properties-title">
      {names.map((name) => <Property key={`${thing}/${name}`} thing={thing} name={name} affordance={properties[name]!} />)}
    </div>
  );
}

function Property({ thing, name, affordance }: { thing: string; name: string; affordance: Affordance }): VNode {
  const now = reading(thing, name);
  const { value, at, generation, error } = now.value;
  const label = title(affordance.title, name);
  const writable = !affordance.readOnly && may(thing, "operator");
  const editing = useSignal(false);
  const simple = SIMPLE.has(new Field({ ...affordance, default: undefined }).kind);
  const isPinned = pinned(thing).includes(name);
  const plottable = affordance.observable && numbersIn(value).length > 0;
  const dim = at > 0 && !isFresh(generation);
  const more = affordance.description && affordance.description !== affordance.title ? affordance.description : "";
  return (
    <div class={`property ${dim ? "stale" : ""} ${writable && simple ? "has-control" : ""}`} role="row">
      <div class="property-name" role="rowheader">
        <span class="label" title={more || label}>{label}</span>
        <code class="name">{name}</code>
      </div>
      <div class="property-value" role="cell" data-property={name}>
        {error ? <span class="bad-text" role="status">{t.notReadable}: {error.detail}</span>
          : affordance.writeOnly ? <span class="faint">–</span>
          : at === 0 ? <span class="faint">…</span>
          : <ValueView value={value} schema={affordance} name={name} />}
        {at > 0 && <Age at={at} dim={dim} live={affordance.observable ?? false} />}
      </div>
      <div class="property-tools" role="cell">
        {plottable && <button type="button" class="icon" aria-pressed={isPinned} title={isPinned ? t.unpin : t.pin} aria-label={`${isPinned ? t.unpin : t.pin}: ${label}`} onClick={() => togglePin(thing, name)}>∿</button>}
        {!affordance.observable && !affordance.writeOnly && <button type="button" class="icon" title={t.refresh} aria-label={`${t.refresh}: ${label}`} onClick={() => void read(thing, [name])}>↻</button>}
        {writable && !simple && <button type="button" class="small" aria-expanded={editing.value} onClick={() => (editing.value = !editing.value)}>{t.edit}</button>}
      </div>
      {writable && (simple || editing.value) && <Editor thing={thing} name={name} label={label} affordance={affordance} simple={simple} onDone={() => (editing.value = false)} />}
    </div>
  );
}

function Age({ at, dim, live }: { at: number; dim: boolean; live: boolean }): VNode {
  const text = age(clock.value - at);
  // Of what is observed, no news means no change; only what is read now and then has an age that counts.
  return <span class={`age ${live && !dim ? "visually-quiet" : ""}`} title={dim ? `${t.stale}: ${iso(at)}` : iso(at)}>{dim ? `⚠ ${text}` : live ? "" : t.readAgo(text)}</span>;
}

function Editor({ thing, name, label, affordance, simple, onDone }: { thing: string; name: string; label: string; affordance: Affordance; simple: boolean; onDone: () => void }): VNode {
  // The default is in the way here: the field begins with the present value.
  const field = useMemo(() => new Field({ ...affordance, default: undefined }), [JSON.stringify({ ...affordance, forms: 0 })]);
  const dirty = useSignal(false);
  const sending = useSignal(false);
  const refusal = useSignal("");
  const now = reading(thing, name);
  const present = useComputed(() => JSON.stringify(now.value.value));
  const isBoolean = field.kind === "boolean";
  useEffect(() => {
    if (dirty.peek() || sending.peek() || now.peek().at === 0) return;
    field.load(now.peek().value);
  }, [present.value, field, dirty.value, sending.value]);
  const send = async (): Promise<void> => {
    const mistakes: Found[] = [];
    const value = field.read(mistakes);
    refusal.value = "";
    if (mistakes.length) return;
    sending.value = true;
    try {
      await write(thing, name, value);
      dirty.value = false;
      if (!simple) onDone();
    } catch (problem) {
      const left = isProblem(problem) && problem.errors ? field.refuse(problem.errors) : [words(problem)];
      refusal.value = left.join(" ");
      if (isBoolean) dirty.value = false; // the switch shows what the server has
    } finally {
      sending.value = false;
    }
  };
  const undo = (): void => {
    refusal.value = "";
    dirty.value = false;
    field.load(now.peek().value);
    if (!simple) onDone();
  };
  const hint = hintOf(affordance);
  const showsMistakeBelow = field.kind !== "object";
  return (
    <div class={`editor ${simple ? "" : "wide"}`} role="cell">
      <form class="row" noValidate onSubmit={(event) => {
        event.preventDefault();
        void send();
      }} onKeyDown={(event) => event.key === "Escape" && !event.shiftKey && undo()}>
        <Control field={field} label={`${t.setTo}: ${label}`} disabled={sending.value} onEnter={() => void send()} onChange={() => {
          dirty.value = true;
          refusal.value = "";
          if (isBoolean) void send();
        }} />
        {(!isBoolean && (dirty.value || !simple)) && <button type="submit" class="primary small" disabled={sending.value}>{t.set}</button>}
        {(!isBoolean && (dirty.value || !simple)) && <button type="button" class="small quiet" disabled={sending.value} onClick={undo}>{t.undo}</button>}
        {sending.value && <span class="faint">{t.sending}</span>}
        {!dirty.value && affordance.default !== undefined && present.value !== JSON.stringify(affordance.default) && (
          <button type="button" class="icon" title={t.reset} aria-label={`${t.reset}: ${label}`} onClick={() => {
            reset(thing, name).catch((problem: unknown) => (refusal.value = words(problem)));
          }}>⟲</button>
        )}
      </form>
      {(hint && (dirty.value || !simple)) && <span class="hint">{hint} {unitOf(affordance)}</span>}
      {showsMistakeBelow && <Mistake field={field} />}
      {refusal.value && <p class="mistake" role="alert">{refusal.value}</p>}
    </div>
  );
}
