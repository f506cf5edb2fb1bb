import assert from "node:assert/strict";
import { test } from "node:test";
import { age, bytes, duration, inline, number, numbersIn } from "../src/format";
import { Series } from "../src/series";
import { isSeen } from "../src/socket_order";

test("numbers keep the digits that matter", () => {
  const shown: [number, string][] = [
    [0, "0"], [1, "1"], [0.1 + 0.2, "0.3"], [191.14982, "191.15"], [-500, "−500"],
    [25276510208, "25\u202f276\u202f510\u202f208"], [1234.5678, "1234.57"], [1.5e-7, "1.5e−7"], [Infinity, "Infinity"],
  ];
  for (const [value, text] of shown) assert.equal(number(value), text);
});

test("durations and ages have one unit that fits", () => {
  assert.equal(duration(0.42), "0.4 s");
  assert.equal(duration(200), "3 min 20 s");
  assert.equal(duration(7500), "2 h 5 min");
  assert.equal(age(500), "now");
  assert.equal(age(65_000), "1 min ago");
  assert.equal(bytes(1_234_567), "1.23 MB");
});

test("any value has a text of one line", () => {
  assert.equal(inline({ x: 1, y: [2, 3] }), "x 1, y 2, 3");
  assert.equal(inline(null), "–");
});

test("every number in a value can be plotted by its name", () => {
  assert.deepEqual(numbersIn({ x: 1, y: { z: 2 } }), [["x", 1], ["y.z", 2]]);
  assert.deepEqual(numbersIn([1, 2]), [["1", 1], ["2", 2]]);
  assert.deepEqual(numbersIn("text"), []);
});

test("a series keeps ten minutes and no more than its bound", () => {
  const series = new Series();
  for (let index = 0; index < 40_000; index += 1) series.add(index * 10, { x: index, y: -index });
  assert.ok(series.times.length <= 13_000);
  assert.equal(series.columns[0]!.length, series.times.length);
  assert.equal(series.columns[1]![series.times.length - 1], -39_999);
  const before = series.times.length;
  series.add(40_000 * 10 + 700_000, { x: 1, y: 1 });
  assert.ok(series.times.length < before);
});

test("a series is saved as a table with times", () => {
  const series = new Series();
  series.add(0, { x: 1, y: 2 });
  assert.equal(series.csv("pos, all"), '"time","pos, all x","pos, all y"\r\n1970-01-01T00:00:00.000Z,1,2\r\n'.replace('"time"', "time"));
});

test("what comes again after a reconnection is recognised, and a new start of the server is new", () => {
  assert.equal(isSeen("a-5", "a-5"), true);
  assert.equal(isSeen("a-5", "a-10"), false);
  assert.equal(isSeen("a-5", "b-1"), false);
  assert.equal(isSeen(null, "a-1"), false);
});
