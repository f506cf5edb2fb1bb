// What the page knows of the server: Things, values, runs, events. Bounded, and told by the server only.
import { batch, computed, signal, type Signal } from "@preact/signals";
import { ask, get, isProblem, signInNeeded, url, words, type Problem } from "./api";
import type { Schema } from "./schema";
import { Socket, type Message } from "./socket";
import { Series } from "./series";
import { t } from "./texts";

export interface Affordance extends Schema {
  readOnly?: boolean;
  writeOnly?: boolean;
  observable?: boolean;
  forms?: { href: string; op: string | string[]; subprotocol?: string; contentType?: string }[];
}

export interface ActionAffordance {
  title?: string;
  description?: string;
  input?: Schema;
  output?: Schema;
  synchronous?: boolean;
  safe?: boolean;
  idempotent?: boolean;
  "labthings:stop"?: boolean;
  "labthings:concurrency"?: string;
  "labthings:group"?: string;
}

export interface EventAffordance {
  title?: string;
  description?: string;
  data?: Schema;
}

export interface Description {
  id: string;
  title: string;
  description?: string;
  base?: string;
  properties?: Record<string, Affordance>;
  actions?: Record<string, ActionAffordance>;
  events?: Record<string, EventAffordance>;
  links?: { rel: string; href: string; type?: string }[];
  "labthings:panel"?: unknown;
  [member: string]: unknown;
}

export interface Reading {
  value: unknown;
  /** When it was read, by the clock of the server (ms); 0: never. */
  at: number;
  generation: number;
  error: Problem | null;
}

export interface LogLine {
  message: string;
  levelname: string;
  created: string;
  action?: string;
  run?: string;
}

export interface Run {
  id: string;
  thing: string;
  action: string;
  status: string;
  phase?: string;
  progress?: number | null;
  progressDetail?: { done?: number; total?: number | null; unit?: string | null; message?: string | null; elapsed?: number; remaining?: number | null } | null;
  timeRequested?: string | null;
  timeStarted?: string | null;
  timeCompleted?: string | null;
  queuePosition?: number | null;
  cancelRequested?: boolean;
  error?: Problem | null;
  input?: unknown;
  output?: unknown;
  partial?: boolean;
  log?: LogLine[];
  logDropped?: number;
  requestedBy?: string | null;
  [member: string]: unknown;
}

export interface Happening {
  name: string;
  data: unknown;
  at: number;
}

export interface Health {
  version: string;
  uptime: number;
  status: string;
  things: Record<string, { class: string; state: string; error?: string; since?: string }>;
  journal: { state: string; error?: string; since?: string; [member: string]: unknown };
  security: { authentication: string[] | null; insecure: boolean };
}

export interface Me {
  name: string | null;
  role: string;
  things: Record<string, string>;
}

const MOST_RUNS = 400;
const MOST_EVENTS = 200;
const MOST_LINES = 500;
const MOST_RESULTS = 1000;
const RANK = ["viewer", "operator", "admin"];

export const socket = new Socket();
export const things = signal<Record<string, Description>>({});
export const loaded = signal(false);
export const loadFailure = signal("");
export const health = signal<Health | null>(null);
export const me = signal<Me>({ name: null, role: "viewer", things: {} });
export const notice = signal("");
export const clock = signal(Date.now());
export const runs = signal<Record<string, Signal<Run>>>({});
export const events: Record<string, Signal<Happening[]>> = {};
export const lines: Record<string, Signal<LogLine[]>> = {};
export const results: Record<string, Signal<{ count: number; values: unknown[] }>> = {};

const readings = new Map<string, Signal<Reading>>();
const series = new Map<string, Series>();
const idOf = new Map<string, string>();
const watched = new Map<string, { uses: number; end: () => void }>();

export const thingNames = computed(() => Object.keys(things.value));

export function may(thing: string | null, role: string): boolean {
  const { role: general, things: single } = me.value;
  const own = thing === null ? general : (single[thing] ?? general);
  return RANK.indexOf(own) >= RANK.indexOf(role);
}

export function reading(thing: string, name: string): Signal<Reading> {
  const key = `${thing}/${name}`;
  let found = readings.get(key);
  if (!found) {
    found = signal<Reading>({ value: undefined, at: 0, generation: 0, error: null });
    readings.set(key, found);
  }
  return found;
}

/** The numbers of a property over time; made when it is first plotted. */
export function seriesOf(thing: string, name: string): Series {
  const key = `${thing}/${name}`;
  let found = series.get(key);
  if (!found) {
    found = new Series();
    series.set(key, found);
    const { value, at } = reading(thing, name).peek();
    if (at) found.add(at, value);
  }
  return found;
}

function take(thing: string, name: string, value: unknown, at: number): void {
  const target = reading(thing, name);
  if (at < target.peek().at && socket.generation.peek() === target.peek().generation) return; // an older one
  target.value = { value, at, generation: socket.generation.peek(), error: null };
  series.get(`${thing}/${name}`)?.add(at, value);
}

function takeFailure(thing: string, name: string, error: Problem, at: number): void {
  const target = reading(thing, name);
  target.value = { ...target.peek(), at, generation: socket.generation.peek(), error };
}

const timeOf = (message: Message): number => (message.timestamp ? Date.parse(message.timestamp) : Date.now());

/** Follow a property while somebody looks at it; the function that it returns ends that. */
export function watch(thing: string, name: string): () => void {
  const affordance = things.value[thing]?.properties?.[name];
  if (!affordance?.observable) return () => undefined;
  const key = `${thing}/${name}`;
  let found = watched.get(key);
  if (!found) {
    const members = { operation: "observeproperty", thingID: idOf.get(thing) ?? thing, name };
    const end = socket.subscribe(members, (message) => {
      if (message.operation === "labthings:gap") void read(thing, [name]);
      else if (message.error) takeFailure(thing, name, message.error, timeOf(message));
      else take(thing, name, message.value, timeOf(message));
    });
    found = { uses: 0, end };
    watched.set(key, found);
  }
  const entry = found;
  entry.uses += 1;
  let ended = false;
  return () => {
    if (ended) return;
    ended = true;
    entry.uses -= 1;
    if (entry.uses === 0) {
      watched.delete(key);
      entry.end();
    }
  };
}

const reading_now = new Set<string>();

/** Read these properties once. Those that cannot be read say why; the others have their values. */
export async function read(thing: string, names: string[]): Promise<void> {
  const wanted = names.filter((name) => {
    return !reading_now.has(`${thing}/${name}`) && !things.value[thing]?.properties?.[name]?.writeOnly;
  });
  if (!wanted.length || !socket.open.value) return;
  for (const name of wanted) reading_now.add(`${thing}/${name}`);
  try {
    const answer = await socket.request({ operation: "readmultipleproperties", thingID: idOf.get(thing) ?? thing, names: wanted });
    takeAll(thing, answer.values ?? {});
  } catch (error) {
    const { values = {}, errors = [] } = error as { values?: Record<string, unknown>; errors?: { loc?: unknown[]; msg: string }[] };
    takeAll(thing, values);
    const problem = error as Problem;
    if (problem.status === 0) return;
    for (const name of wanted.filter((each) => !(each in values))) {
      const own = errors.find((each) => each.loc?.includes(name));
      takeFailure(thing, name, own ? { ...problem, detail: own.msg } : problem, Date.now());
    }
  } finally {
    for (const name of wanted) reading_now.delete(`${thing}/${name}`);
  }
}

function takeAll(thing: string, values: Record<string, unknown>): void {
  const now = Date.now();
  batch(() => {
    for (const [name, value] of Object.entries(values)) take(thing, name, value, now);
  });
}

/** Set a property; the value on the page changes when the server says so. */
export async function write(thing: string, name: string, value: unknown): Promise<void> {
  await ask(`${thing}/${encodeURIComponent(name)}`, { method: "PUT", json: value });
  await read(thing, [name]);
}

export async function reset(thing: string, name: string): Promise<void> {
  await ask(`${thing}/${encodeURIComponent(name)}/reset`, { method: "POST" });
  await read(thing, [name]);
}

// --- runs

export const thingId = (thing: string): string => idOf.get(thing) ?? thing;

export function runsOf(thing: string, action?: string): Signal<Run>[] {
  return Object.values(runs.value)
    .filter((each) => {
      const run = each.peek();
      return run.thing === thing && (action === undefined || run.action === action);
    })
    .reverse();
}

export const isOpen = (run: Run): boolean => run.status === "pending" || run.status === "running";

export function mergeRun(id: string, more: Partial<Run>): void {
  const found = runs.peek()[id];
  if (found) {
    const before = found.peek();
    if (!isOpen(before) && more.status && (more.status === "running" || more.status === "pending")) return;
    found.value = { ...before, ...more };
    return;
  }
  const run: Run = { id, thing: "", action: "", status: "pending", ...more };
  if (!run.thing) return;
  const next = { ...runs.peek(), [id]: signal(run) };
  const ids = Object.keys(next);
  if (ids.length > MOST_RUNS) {
    const ended = ids.find((each) => !isOpen(next[each]!.peek()));
    if (ended) {
      delete next[ended];
      delete results[ended];
    }
  }
  runs.value = next;
}

function fromWire(data: Record<string, unknown>): Partial<Run> {
  const { links: _links, href: _href, action, ...rest } = data;
  const [thing, name] = typeof action === "string" ? pathOf(action) : [undefined, undefined];
  return { ...(rest as Partial<Run>), ...(thing && name ? { thing, action: name } : {}) };
}

/** The Thing and the action in a path, as `/api/stage/move`; the names of Things may have slashes. */
export function pathOf(path: string): [string | undefined, string | undefined] {
  const parts = path.replace(/^\//, "").split("/");
  const action = parts.pop();
  const names = Object.keys(things.peek());
  for (let first = 0; first < parts.length; first += 1) {
    const name = parts.slice(first).join("/");
    if (names.includes(name)) return [name, action && decodeURIComponent(action)];
  }
  return [parts[parts.length - 1], action];
}

async function loadRuns(): Promise<void> {
  const listed = await get<Record<string, unknown>[]>("action_invocations?limit=200");
  batch(() => {
    for (const each of listed) mergeRun(String(each["id"]), fromWire(each));
  });
}

/** Everything of a run: input, output, log, error. */
export async function loadRun(id: string): Promise<Run> {
  const found = fromWire(await get<Record<string, unknown>>(`action_invocations/${id}`));
  mergeRun(id, found);
  return { id, thing: "", action: "", status: "", ...found, ...(runs.peek()[id]?.peek() ?? {}) };
}

function onEverything(message: Message): void {
  const { kind, thing = "", name = "" } = message;
  if (message.operation === "labthings:gap") {
    void loadRuns();
    return;
  }
  const data = (message.data ?? {}) as Record<string, unknown>;
  const id = message.actionID ?? "";
  if (kind === "status") {
    const ended = data["status"] !== "running" && data["status"] !== "pending";
    mergeRun(id, { ...fromWire(data), thing, action: name, ...(ended ? { queuePosition: null } : { queuePosition: (data["queuePosition"] as number) ?? null }) });
    if (ended) onEnd.forEach((tell) => tell(thing, name, id));
  } else if (kind === "progress") {
    mergeRun(id, { thing, action: name, ...(data as Partial<Run>) });
  } else if (kind === "event") {
    const list = eventsOf(thing);
    list.value = [{ name, data: message.data, at: timeOf(message) }, ...list.value].slice(0, MOST_EVENTS);
  } else if (kind === "log") {
    const line = { ...(data as unknown as LogLine), action: name, run: id };
    addLine(thing, line);
    addToRun(id, line);
  } else if (kind === "result") {
    addResult(id, data["value"]);
  }
}

export const onEnd = new Set<(thing: string, action: string, id: string) => void>();

export function eventsOf(thing: string): Signal<Happening[]> {
  return (events[thing] ??= signal<Happening[]>([]));
}

export function linesOf(thing: string): Signal<LogLine[]> {
  return (lines[thing] ??= signal<LogLine[]>([]));
}

export function resultsOf(id: string): Signal<{ count: number; values: unknown[] }> {
  return (results[id] ??= signal({ count: 0, values: [] as unknown[] }));
}

function addLine(thing: string, line: LogLine): void {
  const list = linesOf(thing);
  list.value = [...list.value.slice(-MOST_LINES + 1), line];
}

/** Add a line to the log of a run, which may have come with the whole run as well. */
function addToRun(id: string, line: LogLine): void {
  const run = runs.peek()[id];
  if (!run) return;
  const log = run.peek().log ?? [];
  if (log.some((each) => each.created === line.created && each.message === line.message)) return;
  run.value = { ...run.peek(), log: [...log.slice(-MOST_LINES + 1), line] };
}

function addResult(id: string, value: unknown): void {
  const list = resultsOf(id);
  const { count, values } = list.value;
  list.value = { count: count + 1, values: [...values.slice(-MOST_RESULTS + 1), value] };
}

/** Begin a run. A request whose answer was lost is repeated with the same key: nothing moves twice. */
export async function invoke(thing: string, action: string, input: unknown): Promise<string | null> {
  const key = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
  const options = { method: "POST", json: input, headers: { "Idempotency-Key": key } };
  const path = `${thing}/${encodeURIComponent(action)}`;
  let answer: Response;
  try {
    answer = await ask(path, options);
  } catch (error) {
    if (!isProblem(error) || error.status !== 0) throw error;
    answer = await ask(path, options);
  }
  if (answer.status !== 201) return null;
  const status = fromWire((await answer.json()) as Record<string, unknown>);
  mergeRun(String(status.id), { ...status, status: status.status === "failed" ? "error" : status.status, thing, action });
  return String(status.id);
}

export async function cancel(id: string): Promise<void> {
  try {
    await socket.request({ operation: "cancelaction", actionID: id, thingID: thingId(runs.peek()[id]?.peek().thing ?? "") });
  } catch (error) {
    if (isProblem(error) && error.status === 409) return; // it has ended meanwhile
    if (isProblem(error) && error.status === 0) await ask(`action_invocations/${id}`, { method: "DELETE" });
    else throw error;
  }
}

// --- the whole

export async function loadThings(): Promise<void> {
  const found = await get<Record<string, Description>>("thing_descriptions/");
  for (const [name, each] of Object.entries(found)) idOf.set(name, each.id);
  if (JSON.stringify(found) !== JSON.stringify(things.peek())) things.value = found;
}

export async function loadHealth(): Promise<void> {
  // Not by `ask`: the answer of a server that is not ready is 503, and says the same.
  const answer = await fetch(url("health"), { headers: { Accept: "application/json" } });
  if (answer.status === 401) signInNeeded.value = true;
  const found = (await answer.json()) as Health;
  if (!found.things) return;
  const before = health.peek();
  health.value = found;
  if (before && found.uptime < before.uptime) notice.value = t.restarted;
  const known = Object.keys(things.peek());
  if (known.length && Object.keys(found.things).some((each) => !known.includes(each))) await loadThings();
}

export async function loadAll(): Promise<void> {
  try {
    me.value = await get<Me>("session");
    signInNeeded.value = false;
    await loadThings();
    await Promise.all([loadHealth(), loadRuns()]);
    loadFailure.value = "";
    loaded.value = true;
  } catch (error) {
    loadFailure.value = words(error);
  }
}

/** Read again all that somebody looks at: after a new connection, older values are not fresh. */
export function readAgain(): void {
  const byThing = new Map<string, string[]>();
  for (const key of watched.keys()) {
    const slash = key.lastIndexOf("/");
    byThing.set(key.slice(0, slash), [...(byThing.get(key.slice(0, slash)) ?? []), key.slice(slash + 1)]);
  }
  for (const [thing, names] of byThing) void read(thing, names);
}

/** Follow the log and the results of a Thing's runs while its screen is open. */
export function followRuns(thing: string): () => void {
  const thingID = idOf.get(thing) ?? thing;
  return socket.subscribe({ operation: "labthings:observeall", thingID, kinds: ["log", "result"] }, onEverything);
}

export const onReconnect = new Set<() => void>();

export function start(): void {
  socket.onOpen = () => {
    void loadAll().then(() => {
      readAgain();
      onReconnect.forEach((tell) => tell());
    });
  };
  socket.onLost = () => void get("session").catch(() => undefined); // it says so if a sign in is needed
  socket.probe = () => {
    const [first] = idOf.values();
    return first ? { operation: "unsubscribeallevents", thingID: first } : null;
  };
  socket.subscribe({ operation: "labthings:observeall", kinds: ["status", "progress", "event"] }, onEverything);
  socket.start();
  window.setInterval(() => {
    if (document.hidden) return;
    clock.value = Date.now();
  }, 1000);
  window.setInterval(() => {
    if (!document.hidden && socket.open.peek()) void loadHealth().catch(() => undefined);
  }, 5000);
}
