// From a data schema to what a person fills in: no page, no server, so that it can be tested alone.
import { signal, type Signal } from "@preact/signals";
import { t } from "./texts";

export interface Schema {
  type?: string;
  title?: string;
  description?: string;
  default?: unknown;
  const?: unknown;
  enum?: unknown[];
  oneOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  items?: Schema | Schema[];
  minItems?: number;
  maxItems?: number;
  uniqueItems?: boolean;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  multipleOf?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  format?: string;
  contentEncoding?: string;
  contentMediaType?: string;
  unit?: string;
  "labthings:unit"?: string;
}

export type Kind =
  | "number" | "boolean" | "text" | "choice" | "fixed" | "object" | "map"
  | "tuple" | "list" | "variant" | "json" | "time" | "blob";

const SPECIAL = ["NaN", "Infinity", "-Infinity"];
const DEEPEST = 6;

/** A number that may also be NaN or infinite is described as two alternatives; this is the number. */
export function asNumber(schema: Schema): Schema | null {
  if (schema.type === "number" || schema.type === "integer") return schema;
  const [first, second] = schema.oneOf ?? [];
  if (schema.oneOf?.length !== 2 || !first || !second) return null;
  const special = second.enum?.every((each) => SPECIAL.includes(each as string));
  if (first.type === "number" && special) return { ...schema, ...first, oneOf: undefined };
  return null;
}

/** Which special texts a number may be besides. */
function specials(schema: Schema): string[] {
  return asNumber(schema) && schema.oneOf ? ((schema.oneOf[1]?.enum ?? []) as string[]) : [];
}

function isBlob(schema: Schema): boolean {
  const names = schema.properties ?? {};
  return "href" in names && "media_type" in names && "size" in names;
}

export function kindOf(schema: Schema, depth = 0): Kind {
  if (schema.const !== undefined) return "fixed";
  if (asNumber(schema) && !schema.enum) return "number";
  if (schema.enum) return "choice";
  if (schema.oneOf) return depth < DEEPEST ? "variant" : "json";
  if (schema.type === "boolean") return "boolean";
  if (schema.type === "string") return schema.format === "date-time" ? "time" : "text";
  if (depth >= DEEPEST) return "json";
  if (schema.type === "object") {
    if (isBlob(schema)) return "blob";
    if (Object.keys(schema.properties ?? {}).length) return "object";
    return typeof schema.additionalProperties === "object" ? "map" : "json";
  }
  if (schema.type === "array") {
    if (Array.isArray(schema.items)) return "tuple";
    const few = schema.minItems !== undefined && schema.minItems === schema.maxItems;
    if (few && schema.items && (schema.maxItems ?? 0) <= 8) return "tuple";
    return schema.items && kindOf(schema.items, depth + 1) !== "json" ? "list" : "json";
  }
  return "json";
}

export function unitOf(schema: Schema | undefined): string {
  if (!schema) return "";
  const readable = schema["labthings:unit"] ?? schema.unit;
  if (readable !== undefined) return readable.replace(/^[a-z-]+:/, "");
  if (Array.isArray(schema.items)) {
    const units = new Set(schema.items.map(unitOf));
    return units.size === 1 ? [...units][0]! : "";
  }
  if (schema.items) return unitOf(schema.items);
  if (schema.oneOf && schema.oneOf[0]) return unitOf(schema.oneOf[0]);
  return "";
}

/** The limits of a number, with what a slider needs. */
export function limitsOf(schema: Schema): { low?: number; high?: number; step: number | "any" } {
  const numeric = asNumber(schema) ?? schema;
  const step = numeric.multipleOf ?? (numeric.type === "integer" ? 1 : "any");
  return {
    low: numeric.minimum ?? numeric.exclusiveMinimum,
    high: numeric.maximum ?? numeric.exclusiveMaximum,
    step,
  };
}

/** What a person must know before sending, as "0 … 10, whole". */
export function hintOf(schema: Schema): string {
  const parts: string[] = [];
  const numeric = asNumber(schema);
  if (numeric) {
    const { minimum: low, maximum: high, exclusiveMinimum: above, exclusiveMaximum: below } = numeric;
    if (low !== undefined && high !== undefined) parts.push(`${low} … ${high}`);
    else if (above !== undefined && high !== undefined) parts.push(t.aboveTo(above, high));
    else if (low !== undefined && below !== undefined) parts.push(t.fromBelow(low, below));
    else {
      if (low !== undefined) parts.push(t.atLeast(low));
      if (above !== undefined) parts.push(t.above(above));
      if (high !== undefined) parts.push(t.atMost(high));
      if (below !== undefined) parts.push(t.below(below));
    }
    if (numeric.multipleOf !== undefined) parts.push(t.multipleOf(numeric.multipleOf));
    else if (numeric.type === "integer") parts.push(t.whole);
  }
  if (schema.type === "string") {
    if (schema.minLength) parts.push(t.atLeastCharacters(schema.minLength));
    if (schema.maxLength !== undefined) parts.push(t.atMostCharacters(schema.maxLength));
  }
  if (schema.type === "array" && schema.minItems !== schema.maxItems) {
    if (schema.minItems) parts.push(t.atLeastItems(schema.minItems));
    if (schema.maxItems !== undefined) parts.push(t.atMostItems(schema.maxItems));
  }
  return parts.join(", ");
}

/** The example that a text must follow, where its pattern is one that nobody reads. */
export function exampleOf(schema: Schema): string {
  if (schema.pattern?.startsWith("^-?P(")) return "PT1.5S";
  if (schema.contentEncoding) return schema.contentEncoding;
  if (schema.format === "date") return "2026-05-01";
  if (schema.format === "time") return "12:30:00";
  return "";
}

export interface Mistake {
  path: (string | number)[];
  text: string;
}

/** One input and what is below it: what a person has typed, kept as typed until it is read. */
export class Field {
  readonly kind: Kind;
  readonly text: Signal<string> = signal("");
  readonly flag: Signal<boolean | null> = signal(null);
  readonly choice: Signal<number> = signal(-1);
  readonly items: Signal<Field[]> = signal([]);
  readonly keys: Signal<string[]> = signal([]);
  readonly included: Signal<boolean>;
  readonly mistake: Signal<string> = signal("");
  readonly members: Map<string, Field> = new Map();
  readonly touched: Signal<boolean> = signal(false);

  constructor(
    readonly schema: Schema,
    readonly required = true,
    readonly depth = 0,
  ) {
    this.kind = kindOf(schema, depth);
    this.included = signal(required || schema.default !== undefined);
    if (this.kind === "object") {
      for (const [name, inner] of Object.entries(schema.properties ?? {})) {
        const needed = schema.required?.includes(name) ?? false;
        this.members.set(name, new Field(inner, needed, depth + 1));
      }
    }
    if (this.kind === "tuple") {
      const { items } = schema;
      const schemas = Array.isArray(items) ? items : Array(schema.maxItems).fill(items) as Schema[];
      this.items.value = schemas.map((each) => new Field(each, true, depth + 1));
    }
    if (schema.default !== undefined) this.load(schema.default);
    else if (this.kind === "fixed") this.load(schema.const);
    else if (this.kind === "variant") this.pick(this.nullIndex() >= 0 ? this.nullIndex() : 0);
    else if (this.kind === "boolean" && required) this.flag.value = false;
  }

  private nullIndex(): number {
    return (this.schema.oneOf ?? []).findIndex((each) => each.type === "null");
  }

  /** Show a value; what was typed before is gone. */
  load(value: unknown): void {
    this.mistake.value = "";
    this.touched.value = false;
    this.included.value = value !== undefined;
    switch (this.kind) {
      case "number":
      case "text":
        this.text.value = value === undefined || value === null ? "" : String(value);
        break;
      case "time":
        this.text.value = typeof value === "string" ? localTime(value) : "";
        break;
      case "boolean":
        this.flag.value = typeof value === "boolean" ? value : null;
        break;
      case "choice":
        this.choice.value = (this.schema.enum ?? []).findIndex((each) => same(each, value));
        break;
      case "object":
        for (const [name, field] of this.members) field.load((value as Record<string, unknown>)?.[name]);
        break;
      case "map":
        this.keys.value = Object.keys((value as object) ?? {});
        this.items.value = Object.values((value as object) ?? {}).map((each) => this.entry(each));
        break;
      case "tuple":
        this.items.value.forEach((field, index) => field.load((value as unknown[])?.[index]));
        break;
      case "list":
        this.items.value = ((value as unknown[]) ?? []).map((each) => this.entry(each));
        break;
      case "variant":
        this.pick(this.fitting(value), value);
        break;
      case "blob":
        this.text.value = (value as { href?: string })?.href ?? "";
        break;
      default:
        this.text.value = value === undefined ? "" : JSON.stringify(value);
    }
  }

  private fitting(value: unknown): number {
    const found = (this.schema.oneOf ?? []).findIndex((each) => fits(each, value));
    return found < 0 ? 0 : found;
  }

  /** Choose one of several forms. */
  pick(index: number, value?: unknown): void {
    const schema = this.schema.oneOf?.[index];
    if (!schema) return;
    this.choice.value = index;
    this.items.value = schema.type === "null" ? [] : [new Field(schema, true, this.depth + 1)];
    if (value !== undefined && value !== null) this.items.value[0]?.load(value);
  }

  private entry(value?: unknown): Field {
    const { items, additionalProperties } = this.schema;
    const schema = this.kind === "map" ? (additionalProperties as Schema) : (items as Schema);
    const field = new Field(schema, true, this.depth + 1);
    if (value !== undefined) field.load(value);
    return field;
  }

  addEntry(): void {
    if (this.kind === "map") this.keys.value = [...this.keys.value, ""];
    this.items.value = [...this.items.value, this.entry()];
    this.touched.value = true;
  }

  removeEntry(index: number): void {
    this.keys.value = this.keys.value.filter((_, each) => each !== index);
    this.items.value = this.items.value.filter((_, each) => each !== index);
    this.touched.value = true;
  }

  /** Return the value, or undefined if it is to be left out; mistakes are added to the list. */
  read(mistakes: Mistake[], path: (string | number)[] = []): unknown {
    const before = mistakes.length;
    const value = this.value(mistakes, path);
    this.mistake.value = "";
    for (const { path: where, text } of mistakes.slice(before)) {
      if (where.length === path.length) this.mistake.value = text;
    }
    return value;
  }

  private value(mistakes: Mistake[], path: (string | number)[]): unknown {
    const wrong = (text: string): undefined => {
      mistakes.push({ path, text });
      return undefined;
    };
    const { schema } = this;
    switch (this.kind) {
      case "fixed":
        return schema.const;
      case "boolean":
        if (this.flag.value === null) return this.required ? wrong(t.choose) : undefined;
        return this.flag.value;
      case "choice":
        if (this.choice.value < 0) return this.required ? wrong(t.choose) : undefined;
        return schema.enum?.[this.choice.value];
      case "number":
        return this.number(wrong);
      case "text":
        return this.plainText(wrong);
      case "time": {
        if (this.text.value === "") return this.required ? wrong(t.needed) : undefined;
        const time = new Date(this.text.value);
        return Number.isNaN(time.getTime()) ? wrong(t.noTime) : time.toISOString();
      }
      case "object":
        if (!this.included.value) return undefined;
        return this.object(mistakes, path);
      case "map": {
        const keys = this.keys.value;
        if (new Set(keys).size < keys.length || keys.includes("")) wrong(t.differentNames);
        const pairs = this.items.value.map((each, index) => {
          return [keys[index]!, each.read(mistakes, [...path, keys[index]!])];
        });
        return Object.fromEntries(pairs) as unknown;
      }
      case "tuple":
      case "list": {
        if (!this.included.value && !this.touched.value && !this.required) return undefined;
        const count = this.items.value.length;
        if (count < (schema.minItems ?? 0)) wrong(t.atLeastItems(schema.minItems!));
        if (count > (schema.maxItems ?? Infinity)) wrong(t.atMostItems(schema.maxItems!));
        return this.items.value.map((each, index) => each.read(mistakes, [...path, index]));
      }
      case "variant":
        if (!this.items.value.length) return null;
        return this.items.value[0]!.read(mistakes, path);
      case "blob":
        if (!this.text.value) return this.required ? wrong(t.needed) : undefined;
        return {
          href: this.text.value,
          media_type: schema.properties?.["media_type"]?.const ?? "application/octet-stream",
        };
      default:
        if (this.text.value.trim() === "") return this.required && schema.type ? wrong(t.needed) : undefined;
        try {
          return JSON.parse(this.text.value) as unknown;
        } catch {
          return wrong(t.noJson);
        }
    }
  }

  private object(mistakes: Mistake[], path: (string | number)[]): unknown {
    const found: Record<string, unknown> = {};
    for (const [name, field] of this.members) {
      const value = field.read(mistakes, [...path, name]);
      if (value !== undefined) found[name] = value;
    }
    return found;
  }

  private number(wrong: (text: string) => undefined): unknown {
    const text = this.text.value.trim().replace(/^([+-]?\d+),(\d+)$/, "$1.$2");
    const { schema } = this;
    if (text === "") return this.required ? wrong(t.needed) : undefined;
    const special = specials(schema).find((each) => each.toLowerCase() === text.toLowerCase());
    if (special) return special;
    const value = Number(text);
    if (!Number.isFinite(value)) return wrong(t.noNumber);
    const limits = asNumber(schema)!;
    if (limits.type === "integer" && !Number.isInteger(value)) return wrong(t.noInteger);
    if (value < (limits.minimum ?? -Infinity)) return wrong(t.atLeast(limits.minimum!));
    if (value > (limits.maximum ?? Infinity)) return wrong(t.atMost(limits.maximum!));
    if (value <= (limits.exclusiveMinimum ?? -Infinity)) return wrong(t.above(limits.exclusiveMinimum!));
    if (value >= (limits.exclusiveMaximum ?? Infinity)) return wrong(t.below(limits.exclusiveMaximum!));
    if (limits.multipleOf !== undefined) {
      const steps = value / limits.multipleOf;
      if (Math.abs(steps - Math.round(steps)) > 1e-9 * Math.max(1, Math.abs(steps))) {
        return wrong(t.multipleOf(limits.multipleOf));
      }
    }
    return value;
  }

  private plainText(wrong: (text: string) => undefined): unknown {
    const { schema } = this;
    const text = this.text.value;
    if (text === "" && !this.required && !this.included.value) return undefined;
    const length = [...text].length;
    if (length < (schema.minLength ?? 0)) return wrong(t.atLeastCharacters(schema.minLength!));
    if (length > (schema.maxLength ?? Infinity)) return wrong(t.atMostCharacters(schema.maxLength!));
    if (schema.pattern !== undefined && !matches(schema.pattern, text)) {
      const example = exampleOf(schema);
      return wrong(example ? t.likeExample(example) : t.likePattern(schema.pattern));
    }
    return text;
  }

  /** Show the mistakes that the server found, at the fields that it names; return the others. */
  refuse(errors: { loc?: (string | number)[]; msg: string }[]): string[] {
    const left: string[] = [];
    for (const { loc, msg } of errors) {
      const field = this.find(loc ?? []);
      if (field) field.mistake.value = msg;
      else left.push(msg);
    }
    return left;
  }

  private find(path: (string | number)[]): Field | null {
    const [first, ...rest] = path;
    if (first === undefined) return this;
    if (first === "body" || first === "input") return this.find(rest);
    if (this.kind === "variant") return this.items.value[0]?.find(path) ?? this;
    if (typeof first === "number") return this.items.value[first]?.find(rest) ?? this;
    const index = this.keys.value.indexOf(first);
    return this.members.get(first)?.find(rest) ?? this.items.value[index]?.find(rest) ?? this;
  }
}

function matches(pattern: string, text: string): boolean {
  try {
    return new RegExp(pattern, "u").test(text);
  } catch {
    return true; // a pattern of another dialect: the server decides
  }
}

export function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Whether a value looks like one of this schema: enough to choose among alternatives. */
export function fits(schema: Schema, value: unknown): boolean {
  if (schema.const !== undefined) return same(schema.const, value);
  if (schema.enum) return schema.enum.some((each) => same(each, value));
  if (schema.oneOf) return schema.oneOf.some((each) => fits(each, value));
  switch (schema.type) {
    case "null":
      return value === null;
    case "integer":
      return Number.isInteger(value);
    case "number":
      return typeof value === "number";
    case "array":
      return Array.isArray(value);
    case "object": {
      if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
      const given = value as Record<string, unknown>;
      if ((schema.required ?? []).some((name) => !(name in given))) return false;
      return Object.entries(schema.properties ?? {}).every(([name, inner]) => {
        return !(name in given) || fits(inner, given[name]);
      });
    }
    case undefined:
      return true;
    default:
      return typeof value === schema.type;
  }
}

/** A time with its offset, as an input of the browser has it: local, without one. */
function localTime(text: string): string {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) return "";
  const local = new Date(time.getTime() - time.getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 23).replace(/\.000$/, "");
}
