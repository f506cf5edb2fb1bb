// A run: where it is, what it says, what came of it; as a strip in a card, and as a page of its own.
import { useSignal, type Signal } from "@preact/signals";
import type { VNode } from "preact";
import { useEffect } from "preact/hooks";
import { get, url, words } from "./api";
import { duration, number } from "./format";
import { Lines } from "./happenings";
import { Badge, Failure, Progress, statusKind, When } from "./parts";
import { go, toRun, toThing } from "./router";
import { cancel, clock, isOpen, loadRun, may, mergeRun, resultsOf, runs, socket, things, type ActionAffordance, type LogLine, type Run } from "./store";
import { t } from "./texts";
import { isBlob, ValueView } from "./value";
import { fillIn } from "./actions";

export function statusWord(run: Run): string {
  if (run.phase === "cancelling" && isOpen(run)) return t.phase["cancelling"]!;
  if (run.status === "pending" && run.phase === "queued") return run.queuePosition ? t.queuePosition(run.queuePosition) : t.phase["queued"]!;
  return t.status[run.status] ?? run.status;
}

function span(run: Run): string {
  const start = run.timeStarted ?? run.timeRequested;
  if (!start) return "";
  const seconds = ((run.timeCompleted ? Date.parse(run.timeCompleted) : clock.value) - Date.parse(start)) / 1000;
  return isOpen(run) ? t.elapsed(duration(Math.max(0, seconds), true)) : t.took(duration(Math.max(0, seconds)));
}

function amount(run: Run): string {
  const { done, total, unit } = run.progressDetail ?? {};
  if (done === undefined || done === null) return "";
  return `${number(Math.round(done * 100) / 100)}${total ? ` / ${number(Math.round(total * 100) / 100)}` : ""}${unit ? ` ${unit}` : ""}`;
}

/** Everything of a run that is open on the screen: its log and results as they come, its output. */
function useRun(run: Signal<Run>, full: boolean): void {
  const { id, status } = run.value;
  const ended = !isOpen(run.value);
  useEffect(() => {
    if (full) void loadRun(id).catch(() => undefined);
  }, [id, ended, full]);
  void status;
}

export function RunStrip({ run, action, brief = false, onAgain }: { run: Signal<Run>; action: ActionAffordance; brief?: boolean; onAgain: (input: unknown) => void }): VNode {
  const opened = useSignal(!brief);
  useRun(run, opened.value);
  const now = run.value;
  const open = isOpen(now);
  return (
    <div class={`run ${open ? "open" : ""}`} data-run={now.id} data-status={now.status}>
      <RunHead run={now} />
      {brief && <button type="button" class="icon" aria-expanded={opened.value} aria-label={t.details} onClick={() => (opened.value = !opened.value)}>{opened.value ? "▾" : "▸"}</button>}
      {opened.value && <RunBody run={now} action={action} />}
      {!open && opened.value && (
        <div class="row run-foot">
          <a class="button small" href={toRun(now.id)}>{t.openRun}</a>
          {now.input !== undefined && now.input !== null && action.input && <button type="button" class="small quiet" onClick={() => onAgain(now.input)}>↺ {t.runAgain}</button>}
        </div>
      )}
    </div>
  );
}

function RunHead({ run }: { run: Run }): VNode {
  const open = isOpen(run);
  const failure = useSignal("");
  const remaining = run.progressDetail?.remaining;
  return (
    <div class="run-head">
      <div class="row">
        <Badge kind={run.phase === "cancelling" && open ? "wait" : statusKind(run.status)}>{statusWord(run)}</Badge>
        {open && typeof run.progress === "number" && <strong class="figure">{Math.floor(run.progress)} %</strong>}
        {open && typeof remaining === "number" && run.status === "running" && <span>{t.remaining(duration(Math.ceil(remaining), true))}</span>}
        <span class="faint">{span(run)}</span>
        {!open && <span class="faint"><When at={run.timeCompleted ?? run.timeRequested} /></span>}
        {open && run.requestedBy && <span class="faint">{t.requestedBy(run.requestedBy)}</span>}
        <span class="grow" />
        {open && may(run.thing, "operator") && <button type="button" class="cancel" aria-label={`${t.cancel} ${run.action}`} onClick={() => {
          cancel(run.id).catch((problem: unknown) => (failure.value = words(problem)));
        }}>✕ {t.cancel}</button>}
      </div>
      {open && <Progress percent={run.status === "pending" ? 0 : run.progress} label={`${run.action}: ${statusWord(run)}`} />}
      {open && (amount(run) || run.progressDetail?.message) && <p class="faint message">{run.progressDetail?.message} <span class="figure">{amount(run)}</span></p>}
      {failure.value && <Failure>{failure.value}</Failure>}
    </div>
  );
}

function RunBody({ run, action }: { run: Run; action: ActionAffordance }): VNode {
  const open = isOpen(run);
  const came = resultsOf(run.id).value;
  const items = Array.isArray(action.output?.items) ? undefined : action.output?.items;
  const output = run.output;
  return (
    <div class="run-body">
      {run.error && run.status !== "cancelled" && <Failure>{run.error.detail ?? run.error.title}</Failure>}
      {run.error && run.status === "cancelled" && <p class="wait-text">{run.error.detail}</p>}
      {open && came.count > 0 && (
        <div class="stack">
          <p class="faint">{t.results(came.count)}</p>
          <LatestResults values={came.values} schema={items} />
        </div>
      )}
      {!open && run.partial && <p class="wait-text">{t.partial}</p>}
      {!open && output !== undefined && output !== null && <ValueView value={output} schema={action.output} name={run.action} />}
      {(run.log?.length ?? 0) > 0 && <RunLog lines={run.log!} dropped={run.logDropped ?? 0} />}
      {!open && <Files id={run.id} />}
    </div>
  );
}

function LatestResults({ values, schema }: { values: unknown[]; schema?: import("./schema").Schema }): VNode {
  const array = { type: "array", items: schema };
  const last = values[values.length - 1];
  const isObject = typeof last === "object" && last !== null && !isBlob(last);
  const shown = values.slice(isObject ? -24 : -500);
  return <ValueView value={shown} schema={array} />;
}

function RunLog({ lines, dropped }: { lines: LogLine[]; dropped: number }): VNode {
  const all = useSignal(false);
  const shown = all.value ? lines : lines.slice(-3);
  return (
    <div class="stack">
      {dropped > 0 && all.value && <p class="hint">{t.logDropped(dropped)}</p>}
      <Lines lines={shown} />
      {lines.length > 3 && <button type="button" class="small quiet" onClick={() => (all.value = !all.value)}>{all.value ? "▴" : "▾"} {t.log}: {t.logLines(lines.length)}</button>}
    </div>
  );
}

export function Files({ id }: { id: string }): VNode | null {
  const names = useSignal<string[]>([]);
  useEffect(() => {
    get<(string | { name: string })[]>(`action_invocations/${id}/files`)
      .then((found) => (names.value = found.map((each) => (typeof each === "string" ? each : each.name))))
      .catch(() => undefined);
  }, [id]);
  if (!names.value.length) return null;
  return (
    <div class="files">
      <span class="faint">{t.files}</span>
      {names.value.map((name) => <a key={name} href={url(`action_invocations/${id}/files/${encodeURIComponent(name)}`)} download={name}>↓ {name}</a>)}
    </div>
  );
}

interface Record_ extends Run {
  kind?: string;
  address?: string | null;
  things?: string[];
  detailsDropped?: boolean;
}

/** The page of one run, also of one that only the journal knows. */
export function RunScreen({ id }: { id: string }): VNode {
  const record = useSignal<Record_ | null>(null);
  const failure = useSignal("");
  const live = runs.value[id];
  const ended = live ? !isOpen(live.value) : true;
  useEffect(() => {
    failure.value = "";
    Promise.allSettled([loadRun(id), get<Record_>(`journal/${id}`)]).then(([run, kept]) => {
      const found = { ...(kept.status === "fulfilled" ? kept.value : {}), ...(run.status === "fulfilled" ? run.value : {}) } as Record_;
      if (kept.status === "fulfilled") {
        found.requestedBy = kept.value.requestedBy;
        if (run.status === "rejected" || !found.thing) Object.assign(found, { thing: kept.value.thing, action: kept.value.action });
      }
      if (run.status === "rejected" && kept.status === "rejected") failure.value = t.unknownRun;
      else record.value = found;
    }, () => undefined);
    const follow = (message: import("./socket").Message): void => {
      if (message.kind === "log") mergeRun(id, { log: [...(runs.peek()[id]?.peek().log ?? []), message.data as LogLine].slice(-500) });
      if (message.kind === "result") {
        const list = resultsOf(id);
        list.value = { count: list.value.count + 1, values: [...list.value.values.slice(-999), (message.data as { value: unknown }).value] };
      }
    };
    return socket.subscribe({ operation: "labthings:observeinvocation", actionID: id, kinds: ["log", "result"] }, follow);
  }, [id, ended]);
  if (failure.value) return <div class="empty"><p>{failure.value}</p><a href="#/runs">{t.backToRuns}</a></div>;
  if (!record.value) return <p class="empty">{t.loading}</p>;
  const run: Record_ = { ...record.value, ...(live ? live.value : {}), requestedBy: record.value.requestedBy };
  const action = things.value[run.thing]?.actions?.[run.action] ?? {};
  const known = things.value[run.thing]?.actions?.[run.action] !== undefined;
  return (
    <div class="run-page">
      <p><a href="#/runs">← {t.backToRuns}</a></p>
      <div class="row head">
        <h1>{run.action}</h1>
        <a href={toThing(run.thing)}><code class="name">{run.thing}</code></a>
      </div>
      <section class="card run" data-status={run.status}>
        <RunHead run={run} />
        <RunBody run={run} action={action} />
        {known && may(run.thing, "operator") && action.input && (
          <div class="row run-foot"><button type="button" onClick={() => {
            fillIn(run.thing, run.action, action, run.input);
            go(toThing(run.thing));
          }}>↺ {t.runAgain} …</button></div>
        )}
      </section>
      <section class="card">
        <h2>{t.input}</h2>
        {run.input === null || run.input === undefined || Object.keys(run.input as object).length === 0 ? <p class="faint">{t.nothing}</p> : <ValueView value={run.input} schema={action.input} />}
      </section>
      <section class="card">
        <dl class="members">
          <dt>{t.requested}</dt><dd><When at={run.timeRequested} /></dd>
          {run.requestedBy && [<dt key="who">{t.who}</dt>, <dd key="who-value">{run.requestedBy}</dd>]}
          {run.address && [<dt key="from">IP</dt>, <dd key="from-value">{run.address}</dd>]}
          {(run.things?.length ?? 0) > 1 && [<dt key="things">{t.filterThing}</dt>, <dd key="things-value">{run.things!.join(", ")}</dd>]}
          <dt>id</dt><dd><code>{id}</code></dd>
        </dl>
      </section>
    </div>
  );
}
