// How pytest follows what these scripts hear: Things on the first line of stdin, then one JSON
// object a line on stdout, until stdin is closed.

import { createInterface } from "node:readline";

export function tell(members) {
  process.stdout.write(`${JSON.stringify(members)}\n`);
}

export async function follow(work) {
  const lines = createInterface({ input: process.stdin });
  const ended = new Promise((resolve) => lines.once("close", resolve));
  const first = await new Promise((resolve) => lines.once("line", resolve));
  try {
    for (const [thing, url] of Object.entries(JSON.parse(first))) await work(thing, url);
    tell({ ready: true });
    await ended;
    process.exit(0);
  } catch (error) {
    console.error(error);
    process.exit(1);
  }
}
