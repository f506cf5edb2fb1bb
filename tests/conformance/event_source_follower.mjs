// A plain EventSource, as browsers have it, follows all properties and all events of Things.

import { EventSource } from "eventsource";
import { follow, tell } from "./line_by_line.mjs";

await follow(async (thing, url) => {
  const description = await (await fetch(url)).json();
  for (const part of ["properties", "events"]) {
    const names = Object.keys(description[part] ?? {});
    if (names.length === 0) continue;
    const source = new EventSource(`${url}${part}`);
    const note = ({ type, data }) => tell({ thing, name: type, value: JSON.parse(data) });
    for (const name of ["message", "gap", "reading-failed", ...names]) source.addEventListener(name, note);
    await new Promise((resolve) => source.addEventListener("open", resolve, { once: true }));
    source.onerror = ({ message }) => tell({ thing, name: part, error: `${message}` });
  }
});
