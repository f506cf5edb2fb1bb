// Thing Descriptions before the Playground of the W3C's group and a JSON-LD processor; offline.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { answer } from "./json_in_json_out.mjs";

const require = createRequire(import.meta.url);
const core = require("@thing-description-playground/core");
const playground = require("@thing-description-playground/assertions");
const jsonld = require("jsonld");

async function byPlayground(text) {
  const lines = [];
  // Its own JSON-LD check would fetch the contexts.
  const options = { checkJsonLd: false, checkTmConformance: false };
  const { report, details } = await core.tdValidator(text, (line) => lines.push(line), options);
  return { report, details, lines: lines.map(String) };
}

// The package looks for the schema of `core` in a place of its own, where npm seldom puts it.
function load(path) {
  const moved = path.endsWith("td-schema.json");
  return readFile(moved ? require.resolve("@thing-description-playground/core/td-schema.json") : path);
}

async function byAssertions(text) {
  const results = await playground.tdAssertions([text], load, () => {}, []);
  return results.filter(({ Status }) => Status === "fail");
}

function expand(text, contexts) {
  const documentLoader = async (url) => {
    if (!(url in contexts)) throw new Error(`The context ${url} is not at hand.`);
    return { contextUrl: null, documentUrl: url, document: contexts[url] };
  };
  return jsonld.expand(JSON.parse(text), { documentLoader, safe: true });
}

async function judge(document, contexts) {
  const text = JSON.stringify(document);
  return {
    playground: await byPlayground(text),
    failedAssertions: await byAssertions(text),
    expanded: await expand(text, contexts),
  };
}

await answer(async ({ documents, contexts }) => {
  const verdicts = {};
  for (const [name, document] of Object.entries(documents)) {
    verdicts[name] = await judge(document, contexts);
  }
  return verdicts;
});
