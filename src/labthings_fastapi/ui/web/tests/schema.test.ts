// The form renderer's rules, without a browser: what is read, what is refused, what is left out.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Field, fits, hintOf, kindOf, unitOf, type Mistake, type Schema } from "../src/schema";

const SPECIAL = { enum: ["NaN", "Infinity", "-Infinity"], type: "string" };
const FLOAT: Schema = { oneOf: [{ type: "number" }, SPECIAL] };
const POINT: Schema = {
  type: "object",
  required: ["x"],
  properties: { x: FLOAT, y: { ...FLOAT, default: 0 }, note: { oneOf: [{ type: "string" }, { type: "null" }], default: null } },
};

function read(field: Field): { value: unknown; mistakes: Mistake[] } {
  const mistakes: Mistake[] = [];
  return { value: field.read(mistakes), mistakes };
}

function typed(schema: Schema, text: string): { value: unknown; mistakes: Mistake[] } {
  const field = new Field(schema);
  field.text.value = text;
  return read(field);
}

test("every schema that a description can have gets its own control", () => {
  const kinds: [Schema, string][] = [
    [{ type: "number" }, "number"],
    [FLOAT, "number"],
    [{ type: "integer", minimum: 0, maximum: 3 }, "number"],
    [{ type: "integer", enum: [1, 2], oneOf: [{ const: 1 }, { const: 2 }] }, "choice"],
    [{ type: "boolean" }, "boolean"],
    [{ type: "string" }, "text"],
    [{ type: "string", format: "date-time" }, "time"],
    [{ type: "string", enum: ["a", "b"] }, "choice"],
    [{ type: "string", const: "a" }, "fixed"],
    [POINT, "object"],
    [{ type: "object", properties: {}, additionalProperties: FLOAT }, "map"],
    [{ type: "array", items: [FLOAT, { type: "integer" }] }, "tuple"],
    [{ type: "array", minItems: 2, maxItems: 2, items: { type: "number" } }, "tuple"],
    [{ type: "array", items: POINT }, "list"],
    [{ oneOf: [{ type: "integer" }, { type: "null" }] }, "variant"],
    [{ type: "object", properties: { href: {}, media_type: {}, size: {} } }, "blob"],
    [{}, "json"],
  ];
  for (const [schema, kind] of kinds) assert.equal(kindOf(schema), kind, JSON.stringify(schema));
});

test("a default is sent back unchanged, for every kind", () => {
  const schemas: Schema[] = [
    { type: "integer", default: 0 },
    { ...FLOAT, default: "NaN" },
    { type: "boolean", default: false },
    { type: "string", default: "" },
    { type: "string", enum: ["red", "green"], default: "green" },
    { ...POINT, default: { x: 1, y: 0, note: null } },
    { type: "array", items: FLOAT, default: [1, 2.5] },
    { type: "array", items: [FLOAT, { type: "integer" }], default: [1.5, 2] },
    { type: "object", additionalProperties: FLOAT, properties: {}, default: { a: 1 } },
    { oneOf: [{ type: "integer" }, { type: "null" }], default: null },
    { oneOf: [{ type: "integer" }, { type: "string" }], default: "7" },
    { type: "string", format: "date-time", default: "2026-05-01T12:00:00.000Z" },
    { default: { any: [1, null] } },
  ];
  for (const schema of schemas) {
    const { value, mistakes } = read(new Field(schema));
    assert.deepEqual(mistakes, [], JSON.stringify(schema));
    assert.deepEqual(value, schema.default, JSON.stringify(schema));
  }
});

test("limits are said before anything is sent", () => {
  const whole: Schema = { type: "integer", minimum: 0, maximum: 10 };
  for (const text of ["-1", "11", "1.5", "", "abc", "NaN"]) {
    assert.equal(typed(whole, text).mistakes.length, 1, text);
  }
  assert.equal(typed(whole, "10").value, 10);
  assert.equal(typed({ type: "number", exclusiveMinimum: 0 }, "0").mistakes.length, 1);
  assert.equal(typed({ type: "number", multipleOf: 0.1 }, "0.3").mistakes.length, 0);
  assert.equal(typed({ type: "number", multipleOf: 0.1 }, "0.35").mistakes.length, 1);
  assert.equal(typed({ type: "string", maxLength: 2 }, "abc").mistakes.length, 1);
  assert.equal(typed({ type: "string", pattern: "^[a-z]*$" }, "A").mistakes.length, 1);
  assert.match(hintOf(whole), /0 … 10/);
});

test("an infinite number is accepted only where the description says so", () => {
  assert.equal(typed(FLOAT, "nan").value, "NaN");
  assert.equal(typed({ type: "number" }, "nan").mistakes.length, 1);
  assert.equal(typed({ type: "number" }, "1e999").mistakes.length, 1);
});

test("a decimal comma is a decimal point, and two of them are no number", () => {
  assert.equal(typed({ type: "number" }, "1,5").value, 1.5);
  assert.equal(typed({ type: "number" }, "1,234,5").mistakes.length, 1);
});

test("what is optional and empty is left out, so that an axis without a target does not move", () => {
  const number: Schema = { type: "number" };
  const field = new Field({ type: "object", properties: { x: number, y: number, z: number } });
  field.members.get("x")!.text.value = "5";
  field.members.get("x")!.included.value = true;
  assert.deepEqual(read(field).value, { x: 5 });
});

test("a mistake stands at its own field", () => {
  const field = new Field({ type: "object", required: ["p"], properties: { p: POINT } });
  const { mistakes } = read(field);
  assert.deepEqual(mistakes.map((each) => each.path.join(".")), ["p.x"]);
  assert.notEqual(field.members.get("p")!.members.get("x")!.mistake.value, "");
  assert.equal(field.mistake.value, "");
});

test("a refusal of the server stands at the field that it names, and the rest is returned", () => {
  const field = new Field({ type: "object", properties: { p: POINT } });
  const left = field.refuse([{ loc: ["body", "p", "x"], msg: "too large" }, { msg: "busy" }]);
  assert.equal(field.members.get("p")!.members.get("x")!.mistake.value, "too large");
  assert.equal(field.mistake.value, "busy");
  assert.deepEqual(left, []);
});

test("items can be added and removed up to the limits", () => {
  const field = new Field({ type: "array", items: { type: "integer" }, minItems: 1 });
  assert.equal(read(field).mistakes.length, 1);
  field.addEntry();
  field.items.value[0]!.text.value = "3";
  assert.deepEqual(read(field).value, [3]);
  field.removeEntry(0);
  assert.equal(field.items.value.length, 0);
});

test("entries of a map need different names", () => {
  const field = new Field({ type: "object", additionalProperties: { type: "integer" }, properties: {} });
  field.load({ a: 1, b: 2 });
  field.keys.value = ["a", "a"];
  assert.equal(read(field).mistakes.length, 1);
});

test("the alternative that fits a value is shown", () => {
  const field = new Field({ oneOf: [{ type: "integer" }, POINT, { type: "null" }] });
  field.load({ x: 2 });
  assert.equal(field.choice.value, 1);
  field.load(null);
  assert.equal(read(field).value, null);
  assert.equal(fits({ type: "integer" }, 1.5), false);
});

test("a unit is the readable one, also of all items together", () => {
  assert.equal(unitOf({ unit: "om:micrometre", "labthings:unit": "µm" }), "µm");
  assert.equal(unitOf({ type: "array", items: [{ "labthings:unit": "mm" }, { "labthings:unit": "mm" }] }), "mm");
  assert.equal(unitOf({ type: "array", items: [{ "labthings:unit": "mm" }, { "labthings:unit": "s" }] }), "");
});
