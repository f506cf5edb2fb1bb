// One Thing: its values on the left, what it can do on the right, plot, events and log below.
import { computed, signal, useSignal } from "@preact/signals";
import type { VNode } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { ActionCard } from "./actions";
import { ask, words } from "./api";
import { title } from "./format";
import { Events, Log } from "./happenings";
import { Streams } from "./camera";
import { PanelView } from "./panels";
import { When } from "./parts";
import { LivePlot } from "./plot";
import { Properties } from "./properties";
import { State, stateOf } from "./overview";
import { unitOf } from "./schema";
import { followRuns, loadHealth, may, onEnd, read, seriesOf, things, watch } from "./store";
import { stopNow } from "./stop";
import { t } from "./texts";
import { kindOf } from "./schema";

const POLL = 5_000;
const pins = signal<Record<string, string[]>>(keptPins());

function keptPins(): Record<string, string[]> {
  try {
    return JSON.parse(localStorage.getItem("labthings.pins") ?? "{}") as Record<string, string[]>;
  } catch {
    return {};
  }
}

function firstPins(thing: string): string[] {
  const entries = Object.entries(things.value[thing]?.properties ?? {});
  const canPlot = entries.filter(([, each]) => each.observable && ["number", "object", "tuple"].includes(kindOf(each)));
  const measured = canPlot.filter(([, each]) => each.readOnly && each.default === undefined);
  return measured.slice(0, 1).map(([name]) => name);
}

export function pinned(thing: string): string[] {
  const known = things.value[thing]?.properties ?? {};
  return (pins.value[thing] ?? firstPins(thing)).filter((name) => name in known);
}

export function togglePin(thing: string, name: string): void {
  const now = pinned(thing);
  const next = now.includes(name) ? now.filter((each) => each !== name) : [...now, name];
  pins.value = { ...pins.value, [thing]: next };
  try {
    localStorage.setItem("labthings.pins", JSON.stringify(pins.value));
  } catch {
    // a browser that keeps nothing
  }
}

export function ThingScreen({ name }: { name: string }): VNode {
  const description = things.value[name];
  const properties = description?.properties ?? {};
  const key = Object.keys(properties).join();
  const exists = description !== undefined;
  useEffect(() => {
    if (!exists) return;
    const names = Object.keys(properties);
    const ends = [...names.map((each) => watch(name, each)), followRuns(name)];
    void read(name, names);
    const unobserved = names.filter((each) => !properties[each]!.observable);
    const ended = (thing: string): void => {
      if (thing === name) void read(name, unobserved);
    };
    onEnd.add(ended);
    const timer = window.setInterval(() => document.hidden || void read(name, unobserved), POLL);
    return () => {
      ends.forEach((end) => end());
      onEnd.delete(ended);
      window.clearInterval(timer);
    };
  }, [name, key, exists]);
  const shown = useMemo(() => computed(() => pinned(name).map((each) => {
    const affordance = things.value[name]!.properties![each]!;
    return { title: title(affordance.title, each), unit: unitOf(affordance), series: seriesOf(name, each) };
  })), [name]);
  if (!description) return <div class="empty"><h1>{name}</h1><p>{t.notFound}</p><a href="#/">{t.toOverview}</a></div>;
  const actions = Object.entries(description.actions ?? {});
  const { state, error, since } = stateOf(name);
  const hasStop = actions.some(([, each]) => each["labthings:stop"]);
  const canPlot = Object.values(properties).some((each) => each.observable);
  const text = description.description ?? "";
  return (
    <div class="thing">
      <div class="row head">
        <h1>{title(description.title, name)}</h1>
        <code class="name">{name}</code>
        <State state={state} />
        <span class="grow" />
        {hasStop && may(name, "operator") && <button type="button" class="stop-one" onClick={() => void stopNow(name)}>■ {t.stopThing}</button>}
      </div>
      <Explanation text={text} />
      {!may(name, "operator") && <p class="hint">{t.mayOnlyLook}</p>}
      {error && state !== "open" && <Broken name={name} error={error} since={since} />}
      {description["labthings:panel"] !== undefined && <PanelView thing={name} panel={description["labthings:panel"]} />}
      <div class="columns">
        <div class="column">
          <Streams thing={name} description={description} />
          <section class="card" aria-labelledby="properties-title">
            <h2 id="properties-title">{t.properties}</h2>
            <Properties thing={name} properties={properties} />
          </section>
          {canPlot && (
            <section class="card" aria-labelledby="plot-title">
              <h2 id="plot-title">{t.plot}</h2>
              {shown.value.length ? <LivePlot key={name} title={name} sources={shown.value} /> : <p class="empty">{t.noPlot}</p>}
            </section>
          )}
        </div>
        <div class="column">
          <section aria-labelledby="actions-title">
            <h2 id="actions-title" class="outside">{t.actions}</h2>
            {!actions.length && <p class="empty">{t.noActions}</p>}
            <div class="cards">
              {actions.map(([each, action]) => <ActionCard key={`${name}/${each}`} thing={name} name={each} action={action} />)}
            </div>
          </section>
          {Object.keys(description.events ?? {}).length > 0 && <Events thing={name} events={description.events ?? {}} />}
          {actions.length > 0 && <Log thing={name} />}
        </div>
      </div>
    </div>
  );
}

function Explanation({ text }: { text: string }): VNode | null {
  const [first = "", ...rest] = text.split("\n\n");
  if (!text) return null;
  if (!rest.length) return <p class="lead">{first}</p>;
  return <div class="lead"><p>{first}</p>{rest.map((each, index) => <p key={index}>{each}</p>)}</div>;
}

function Broken({ name, error, since }: { name: string; error: string; since?: string }): VNode {
  const failure = useSignal("");
  const busy = useSignal(false);
  return (
    <div class="failure" role="alert">
      <strong>{t.thingFailed}</strong>
      <p>{error} {since && <span class="faint">(<When at={since} />)</span>}</p>
      {failure.value && <p>{failure.value}</p>}
      {may(name, "operator") && <button type="button" disabled={busy.value} onClick={() => {
        busy.value = true;
        failure.value = "";
        ask(`${name}/reopen`, { method: "POST" })
          .catch((problem: unknown) => (failure.value = words(problem)))
          .finally(() => {
            busy.value = false;
            void loadHealth();
          });
      }}>{t.reopen}</button>}
    </div>
  );
}
