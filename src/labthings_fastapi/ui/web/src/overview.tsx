// All Things at once: what is broken, what moves, what the values are.
import { computed, useSignal } from "@preact/signals";
import type { VNode } from "preact";
import { useEffect } from "preact/hooks";
import { duration, title } from "./format";
import { isFresh, Progress, When } from "./parts";
import { route, toRun, toThing } from "./router";
import { unitOf } from "./schema";
import { health, isOpen, may, read, reading, runs, things, thingNames, watch, type Affordance, type Description, type Run } from "./store";
import { t } from "./texts";
import { Quantity } from "./value";
import { kindOf } from "./schema";

const READINGS = 3;
const POLL = 30_000;

function isFlat(schema: Affordance): boolean {
  const members = Object.values(schema.properties ?? {});
  return members.length <= 3 && members.every((each) => kindOf(each) === "number");
}

/** The readings that say most: observable ones first, short ones, and those that are read only. */
export function chosen(description: Description): [string, Affordance][] {
  const entries = Object.entries(description.properties ?? {}).filter(([, each]) => !each.writeOnly);
  const score = ([, each]: [string, Affordance]): number => {
    const kind = kindOf(each);
    let points = each.observable ? 4 : 0;
    if (kind === "number") points += 3;
    else if (kind === "boolean" || kind === "choice") points += 2;
    else if (kind === "object" && isFlat(each)) points += each.readOnly ? 3 : 1;
    else if (kind === "text") points += 1;
    else points -= 3;
    // What has a default is a setting; what has none is measured.
    return points + (each.readOnly ? 1 : 0) + (each.default === undefined ? 1 : 0);
  };
  return entries.map((each) => [each, score(each)] as const).sort(([, a], [, b]) => b - a).slice(0, READINGS).map(([each]) => each);
}

const openRuns = computed(() => {
  const found: Record<string, Run[]> = {};
  for (const each of Object.values(runs.value)) {
    const run = each.value;
    if (isOpen(run)) (found[run.thing] ??= []).push(run);
  }
  return found;
});

const lastRuns = computed(() => {
  const found: Record<string, Run> = {};
  for (const each of Object.values(runs.value)) {
    const run = each.value;
    if (!isOpen(run)) found[run.thing] = run;
  }
  return found;
});

export function stateOf(name: string): { state: string; error?: string; since?: string } {
  return health.value?.things[name] ?? { state: "" };
}

function needsLook(name: string): boolean {
  const { state } = stateOf(name);
  return state !== "open" && state !== "";
}

export function Overview(): VNode {
  const search = useSignal(route.value.query.get("q") ?? "");
  const wanted = search.value.trim().toLowerCase();
  const shown = thingNames.value.filter((name) => {
    const each = things.value[name]!;
    const texts = [name, each.title, each.description ?? "", ...Object.entries(each.actions ?? {}).flatMap(([key, action]) => [key, action.title ?? ""]), ...Object.keys(each.properties ?? {})];
    return !wanted || texts.some((text) => text.toLowerCase().includes(wanted));
  });
  const running = Object.values(openRuns.value).flat().length;
  const broken = thingNames.value.filter(needsLook).length;
  return (
    <div class="overview">
      <div class="row head">
        <h1>{location.hostname}</h1>
        <p class="facts">
          <span>{t.things(thingNames.value.length)}</span>
          {running > 0 && <span class="moving">{t.runningCount(running)}</span>}
          {broken > 0 && <span class="bad-text">{t.attention(broken)}</span>}
          {health.value && <span class="faint">{t.uptime(duration(health.value.uptime, true))}</span>}
        </p>
        <input class="search" type="search" aria-label={t.search} placeholder={t.search} value={search.value} onInput={(event) => (search.value = event.currentTarget.value)} />
      </div>
      {!thingNames.value.length && <p class="empty">{t.noThings}</p>}
      {wanted && !shown.length && <p class="empty">{t.noneFound(search.value)}</p>}
      <ul class={`tiles ${thingNames.value.length > 12 ? "many" : ""}`}>
        {shown.map((name) => <Tile key={name} name={name} description={things.value[name]!} />)}
      </ul>
    </div>
  );
}

function Tile({ name, description }: { name: string; description: Description }): VNode {
  const readings = chosen(description);
  const key = readings.map(([each]) => each).join();
  useEffect(() => {
    const names = readings.map(([each]) => each);
    const ends = names.map((each) => watch(name, each));
    void read(name, names);
    const rest = readings.filter(([, each]) => !each.observable).map(([each]) => each);
    const timer = window.setInterval(() => document.hidden || void read(name, rest), POLL);
    return () => {
      ends.forEach((end) => end());
      window.clearInterval(timer);
    };
  }, [name, key]);
  const { state, error } = stateOf(name);
  const open = openRuns.value[name] ?? [];
  const last = lastRuns.value[name];
  const isBad = needsLook(name);
  return (
    <li class={`tile ${isBad ? "bad" : ""} ${open.length ? "active" : ""}`}>
      <a class="tile-head" href={toThing(name)}>
        <span class="tile-title">{title(description.title, name)}</span>
        <code class="name">{name}</code>
        <State state={state} />
      </a>
      {isBad && error && <p class="reason" title={error}>{error}</p>}
      <dl class="readings">
        {readings.map(([each, affordance]) => <ReadingRow key={each} thing={name} name={each} affordance={affordance} />)}
      </dl>
      {!readings.length && <p class="can">{Object.entries(description.actions ?? {}).slice(0, 3).map(([each, action]) => <span key={each}>{title(action.title, each)}</span>)}</p>}
      {open.slice(0, 3).map((run) => <RunLine key={run.id} run={run} />)}
      {!open.length && last?.status === "error" && (
        <a class="last-failure" href={toRun(last.id)}>
          <strong>{t.lastFailure(last.action)}</strong> <When at={last.timeCompleted} relative /> {last.error?.detail && <span>{last.error.detail}</span>}
        </a>
      )}
      {!may(name, "operator") && <span class="hint">{t.readOnly}</span>}
    </li>
  );
}

export function State({ state }: { state: string }): VNode | null {
  if (!state) return null;
  const kind = state === "open" ? "good" : state === "failing" || state === "failed" || state === "closed" ? "bad" : "wait";
  return <span class={`state ${kind}`}><span class="dot" aria-hidden="true" />{t.state[state] ?? state}</span>;
}

function ReadingRow({ thing, name, affordance }: { thing: string; name: string; affordance: Affordance }): VNode {
  const { value, at, generation, error } = reading(thing, name).value;
  const dim = at > 0 && !isFresh(generation);
  const members = typeof value === "object" && value !== null && !Array.isArray(value) ? Object.entries(value as Record<string, unknown>) : null;
  return (
    <div class={`reading ${dim ? "stale" : ""}`}>
      <dt title={title(affordance.title, name)}>{name}</dt>
      <dd>
        {error ? <span class="bad-text" title={error.detail}>{t.notReadable}</span>
          : at === 0 ? <span class="faint">…</span>
          : members && members.length <= 3 ? members.map(([key, each]) => <span class="member" key={key}><span class="faint">{key}</span> <Quantity value={each} unit={unitOf(affordance.properties?.[key])} /></span>)
          : <Quantity value={value} unit={unitOf(affordance)} />}
      </dd>
    </div>
  );
}

function RunLine({ run }: { run: Run }): VNode {
  const remaining = run.progressDetail?.remaining;
  return (
    <a class="run-line" href={toRun(run.id)}>
      <span class="row"><span>{run.action}</span><span class="faint">{run.status === "pending" ? t.status["pending"] : run.phase === "cancelling" ? t.phase["cancelling"] : typeof remaining === "number" ? t.remaining(duration(remaining, true)) : t.status["running"]}</span></span>
      <Progress percent={run.status === "pending" ? 0 : run.progress} label={run.action} />
    </a>
  );
}
