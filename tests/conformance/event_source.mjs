// A plain EventSource, as every browser has one, follows a property.

import { EventSource } from "eventsource";
import { answer, until } from "./json_in_json_out.mjs";

await answer(async ({ url, name, values }) => {
  const source = new EventSource(url);
  const seen = [];
  source.addEventListener(name, ({ data, lastEventId }) => {
    seen.push({ value: JSON.parse(data), id: lastEventId });
  });
  await new Promise((resolve, reject) => {
    source.onopen = resolve;
    source.onerror = ({ message }) => reject(new Error(message));
  });
  for (const value of values) {
    const headers = { "Content-Type": "application/json" };
    await fetch(url, { method: "PUT", headers, body: JSON.stringify(value) });
    await until(() => seen.at(-1)?.value === value);
  }
  source.close();
  return { seen, closed: source.readyState === EventSource.CLOSED };
});
