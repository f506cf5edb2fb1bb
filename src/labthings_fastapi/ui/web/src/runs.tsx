// The journal: every run, also those of earlier starts of the server.
import { useSignal } from "@preact/signals";
import type { VNode } from "preact";
import { useEffect } from "preact/hooks";
import { get, words } from "./api";
import { duration } from "./format";
import { Badge, Failure, statusKind, When } from "./parts";
import { go, route, toRun } from "./router";
import { onEnd, things, thingNames, type Run } from "./store";
import { t } from "./texts";

interface Page {
  records: Run[];
  next: string | null;
}

const FILTERS = ["thing", "action", "status", "actor", "text", "since", "until"];
const PAGE = 50;

export function Runs(): VNode {
  const { query } = route.value;
  const page = useSignal<Page | null>(null);
  const failure = useSignal("");
  const key = query.toString();
  useEffect(() => {
    let current = true;
    const load = (): void => {
      const asked = new URLSearchParams({ limit: String(PAGE), kind: "run" });
      for (const name of [...FILTERS, "cursor"]) {
        const value = query.get(name);
        if (value) asked.set(name, name === "since" || name === "until" ? new Date(value).toISOString() : value);
      }
      get<Page>(`journal?${asked}`).then(
        (found) => {
          if (!current) return;
          page.value = found;
          failure.value = "";
        },
        (problem: unknown) => current && (failure.value = words(problem)),
      );
    };
    load();
    // The newest page follows what happens.
    const again = (): void => {
      if (!query.get("cursor")) window.setTimeout(load, 100);
    };
    onEnd.add(again);
    return () => {
      current = false;
      onEnd.delete(again);
    };
  }, [key]);
  const filter = (name: string, value: string): void => {
    const next = new URLSearchParams(query);
    next.delete("cursor");
    if (value) next.set(name, value);
    else next.delete(name);
    go(`#/runs?${next}`);
  };
  const turn = (cursor: string | null): void => {
    const next = new URLSearchParams(query);
    if (cursor) next.set("cursor", cursor);
    else next.delete("cursor");
    go(`#/runs?${next}`);
  };
  const chosen = query.get("thing");
  const actions = [...new Set(Object.entries(things.value).filter(([name]) => !chosen || name === chosen).flatMap(([, each]) => Object.keys(each.actions ?? {})))].sort();
  return (
    <div class="runs">
      <div class="row head"><h1>{t.runs}</h1></div>
      <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
        <Choice label={t.filterThing} name="thing" options={thingNames.value.map((each) => [each, each])} onChange={filter} />
        <Choice label={t.filterAction} name="action" options={actions.map((each) => [each, each])} onChange={filter} />
        <Choice label={t.filterStatus} name="status" options={Object.entries(t.status)} onChange={filter} />
        <Text label={t.filterPerson} name="actor" onChange={filter} />
        <Text label={t.filterText} name="text" type="search" onChange={filter} />
        <Text label={t.filterFrom} name="since" type="datetime-local" onChange={filter} />
        <Text label={t.filterTo} name="until" type="datetime-local" onChange={filter} />
        {FILTERS.some((each) => query.get(each)) && <button type="button" class="quiet" onClick={() => go("#/runs")}>{t.clear}</button>}
      </form>
      {failure.value && <Failure title={t.failedToLoad}>{failure.value}</Failure>}
      {page.value && !page.value.records.length && <p class="empty">{t.noRuns}</p>}
      {page.value && page.value.records.length > 0 && (
        <div class="scroll-x card" tabIndex={0} role="region" aria-label={t.runs}>
          <table class="data journal">
            <thead><tr><th scope="col">{t.filterStatus}</th><th scope="col">{t.run_}</th><th scope="col">{t.requested}</th><th scope="col">{t.took2}</th><th scope="col">{t.who}</th><th scope="col" class="wide">{t.reason}</th></tr></thead>
            <tbody>
              {page.value.records.map((run) => (
                <tr key={run.id}>
                  <td><Badge kind={statusKind(run.status)}>{t.status[run.status] ?? run.status}</Badge></td>
                  <td><a href={toRun(run.id)}>{run.thing}<span class="faint"> · </span>{run.action}</a></td>
                  <td><When at={run.timeRequested} /></td>
                  <td class="figure">{run.timeStarted && run.timeCompleted ? duration((Date.parse(run.timeCompleted) - Date.parse(run.timeStarted)) / 1000) : ""}</td>
                  <td>{run.requestedBy ?? ""}</td>
                  <td class="wide">{run.error && <span class={run.status === "error" ? "bad-text" : "faint"} title={run.error.detail}>{run.error.detail}</span>}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <div class="row pages">
        {query.get("cursor") && <button type="button" onClick={() => turn(null)}>⇤ {t.firstPage}</button>}
        {page.value?.next && <button type="button" onClick={() => turn(page.value!.next)}>{t.nextPage} →</button>}
      </div>
    </div>
  );
}

type Change = (name: string, value: string) => void;

function Choice({ label, name, options, onChange }: { label: string; name: string; options: [string, string][]; onChange: Change }): VNode {
  return (
    <label>{label}
      <select value={route.value.query.get(name) ?? ""} onChange={(event) => onChange(name, event.currentTarget.value)}>
        <option value="">{t.any}</option>
        {options.map(([value, text]) => <option key={value} value={value}>{text}</option>)}
      </select>
    </label>
  );
}

function Text({ label, name, type = "text", onChange }: { label: string; name: string; type?: "text" | "search" | "datetime-local"; onChange: Change }): VNode {
  const common = {
    value: route.value.query.get(name) ?? "",
    onChange: (event: { currentTarget: HTMLInputElement }) => onChange(name, event.currentTarget.value),
  };
  return <label>{label}{type === "search" ? <input type="search" {...common} /> : type === "text" ? <input type="text" {...common} /> : <input type="datetime-local" {...common} />}</label>;
}
