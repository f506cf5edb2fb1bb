// The server's API over HTTP. All addresses are relative to the folder that this file came from, so the
// page works under every prefix and behind every proxy.
import { signal } from "@preact/signals";

const own = import.meta.url;
/** The root of the server: this file is at `<root>ui/assets/…`. */
export const root = new URL("../../", own).href;

export interface Problem {
  type?: string;
  title: string;
  status: number;
  detail: string;
  errors?: { loc?: (string | number)[]; msg: string }[];
}

/** Set when the server asks for a sign in: the page shows the form above what is there. */
export const signInNeeded = signal(false);

export function isProblem(value: unknown): value is Problem {
  return typeof value === "object" && value !== null && "status" in value && "title" in value;
}

/** The words of a failure, whatever was thrown. */
export function words(error: unknown): string {
  if (isProblem(error)) return error.detail || error.title;
  return error instanceof Error ? error.message : String(error);
}

export interface Options {
  method?: string;
  json?: unknown;
  headers?: Record<string, string>;
  body?: BodyInit;
  signal?: AbortSignal;
}

export function url(path: string): string {
  // Addresses of the server's own, as of blobs and runs, come absolute or as a path below its prefix.
  if (/^https?:/.test(path)) {
    const given = new URL(path);
    const here = new URL(root);
    const below = given.pathname.startsWith(here.pathname) ? given.pathname.slice(here.pathname.length) : given.pathname.slice(1);
    return new URL(below + given.search, root).href;
  }
  return new URL(path.replace(/^\//, ""), root).href;
}

/** Ask the server; raises a Problem, also if there was no answer. */
export async function ask(path: string, options: Options = {}): Promise<Response> {
  const headers: Record<string, string> = { Accept: "application/json", ...options.headers };
  const hasJson = "json" in options && options.json !== undefined;
  if (hasJson) headers["Content-Type"] = "application/json";
  let answer: Response;
  try {
    answer = await fetch(url(path), {
      method: options.method ?? "GET",
      headers,
      body: hasJson ? JSON.stringify(options.json) : options.body,
      credentials: "same-origin",
      signal: options.signal,
    });
  } catch {
    throw { status: 0, title: "No answer", detail: "The server did not answer." } satisfies Problem;
  }
  if (answer.ok) return answer;
  if (answer.status === 401 && !path.startsWith("session")) signInNeeded.value = true;
  let found: unknown;
  try {
    found = await answer.json();
  } catch {
    found = null;
  }
  if (isProblem(found)) throw found;
  throw { status: answer.status, title: answer.statusText, detail: `${answer.status} ${answer.statusText}` } satisfies Problem;
}

export async function get<T>(path: string, options: Options = {}): Promise<T> {
  return (await (await ask(path, options)).json()) as T;
}
