// Numbers, times and sizes as people read them.
import { t } from "./texts";

/** At most six significant digits; very large and very small ones with an exponent. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e12) return grouped(String(value));
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e9 || size < 1e-4)) {
    return value.toExponential(4).replace(/\.?0+e/, "e").replace("e+", "e").replace("-", "−").replace("e-", "e−");
  }
  const digits = Math.max(0, Math.min(6, 5 - Math.floor(Math.log10(size || 1))));
  return grouped(String(Number(value.toFixed(Math.min(digits, 4)))));
}

// A thin space between thousands, as ISO 80000 has it, and a minus that is as wide as a plus.
function grouped(text: string): string {
  const [whole = "", fraction] = text.split(".");
  const sign = whole.startsWith("-") ? "−" : "";
  const digits = whole.replace("-", "");
  const parts = digits.length > 4 ? digits.replace(/\B(?=(\d{3})+$)/g, "\u202f") : digits;
  return sign + parts + (fraction ? `.${fraction}` : "");
}

const DAY = 86_400_000;

/** A time of today as 14:03:27, an earlier one with its date, as 2026-05-01 14:03:27. */
export function time(when: number, now = Date.now()): string {
  const date = new Date(when);
  const two = (value: number): string => String(value).padStart(2, "0");
  const clock = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  if (new Date(now).toDateString() === date.toDateString() && now - when < DAY) return clock;
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock}`;
}

export function iso(when: number): string {
  return new Date(when).toISOString();
}

/** How long ago, in one unit: "now", "12 s", "5 min", "3 h", "2 d". */
export function age(milliseconds: number): string {
  const seconds = Math.max(0, milliseconds / 1000);
  if (seconds < 2) return t.now;
  return t.ago(duration(seconds, true));
}

/** A duration in seconds: "0.4 s", "12 s", "3 min 20 s", "2 h 5 min". */
export function duration(seconds: number, short = false): string {
  if (seconds < 10 && !short) return `${Number(seconds.toFixed(1))} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) {
    const minutes = Math.floor(seconds / 60);
    return short ? `${minutes} min` : `${minutes} min ${Math.round(seconds % 60)} s`;
  }
  const hours = Math.floor(seconds / 3600);
  if (hours >= 48) return `${Math.floor(hours / 24)} d`;
  return short ? `${hours} h` : `${hours} h ${Math.floor((seconds % 3600) / 60)} min`;
}

export function bytes(size: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = size;
  let index = 0;
  while (value >= 1000 && index < units.length - 1) {
    value /= 1000;
    index += 1;
  }
  return `${index ? value.toPrecision(3) : value} ${units[index]}`;
}

/** A value on one line. */
export function inline(value: unknown): string {
  if (value === null) return "–";
  if (value === undefined) return "";
  if (typeof value === "number") return number(value);
  if (typeof value === "boolean") return value ? t.yes : t.no;
  if (typeof value === "string") return value;
  if (Array.isArray(value)) {
    if (value.length > 6) return t.items(value.length);
    return value.map(inline).join(", ");
  }
  const entries = Object.entries(value as object);
  return entries.map(([name, each]) => `${name} ${inline(each)}`).join(", ");
}

/** Every number in a value, by its name: what can be plotted. */
export function numbersIn(value: unknown, name = ""): [string, number][] {
  if (typeof value === "number") return [[name, value]];
  if (typeof value === "boolean") return [[name, value ? 1 : 0]];
  if (value === null || typeof value !== "object") return [];
  const entries = Array.isArray(value)
    ? value.slice(0, 16).map((each, index): [string, unknown] => [String(index + 1), each])
    : Object.entries(value).slice(0, 16);
  return entries.flatMap(([key, each]) => numbersIn(each, name ? `${name}.${key}` : key)).slice(0, 16);
}

/** The title of an affordance without the full stop of a docstring. */
export function title(text: string | undefined, name: string): string {
  return (text ?? name).replace(/\.$/, "");
}
