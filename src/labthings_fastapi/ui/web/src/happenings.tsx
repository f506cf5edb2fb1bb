// Events and log of a Thing.
import type { VNode } from "preact";
import { When } from "./parts";
import { eventsOf, linesOf, type EventAffordance, type LogLine } from "./store";
import { t } from "./texts";
import { title } from "./format";
import { toRun } from "./router";
import { ValueView } from "./value";

export function Events({ thing, events }: { thing: string; events: Record<string, EventAffordance> }): VNode {
  const list = eventsOf(thing).value;
  return (
    <section class="card" aria-labelledby="events-title">
      <h2 id="events-title">{t.events}</h2>
      {!list.length && <p class="empty">{t.noEvents}</p>}
      <ul class="happenings" aria-live="polite">
        {list.slice(0, 50).map((each, index) => (
          <li key={`${each.at}-${index}`}>
            <When at={each.at} />
            <span title={title(events[each.name]?.title, each.name)}>{each.name}</span>
            {each.data !== undefined && each.data !== null && <ValueView value={each.data} schema={events[each.name]?.data} />}
          </li>
        ))}
      </ul>
    </section>
  );
}

export function Log({ thing }: { thing: string }): VNode {
  const list = linesOf(thing).value;
  return (
    <section class="card" aria-labelledby="log-title">
      <h2 id="log-title">{t.log}</h2>
      {!list.length ? <p class="empty">{t.noLog}</p> : <Lines lines={list.slice(-100)} />}
    </section>
  );
}

export function Lines({ lines }: { lines: LogLine[] }): VNode {
  return (
    <ol class="log" tabIndex={0} aria-label={t.log}>
      {lines.map((line, index) => (
        <li key={index} class={line.levelname === "ERROR" || line.levelname === "CRITICAL" ? "bad-text" : line.levelname === "WARNING" ? "wait-text" : ""}>
          <When at={line.created} />
          <span class="level">{line.levelname}</span>
          <span class="message">{line.run ? <a href={toRun(line.run)}>{line.action}</a> : null} {line.message}</span>
        </li>
      ))}
    </ol>
  );
}
