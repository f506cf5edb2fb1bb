// Drive the demo microscope with node-wot, from the URLs of its descriptions only:
//
//     make demo                                            # in one terminal
//     npm install @node-wot/core @node-wot/binding-http    # in another, beside this file
//     node drive_microscope.mjs http://127.0.0.1:5000/
//
// Move the stage and observe its position, find the focus, and receive the event `focused`.

import bindingHttp from "@node-wot/binding-http";
import core from "@node-wot/core";

const server = new URL(process.argv[2] ?? "http://127.0.0.1:5000/");
const servient = new core.Servient();
servient.addClientFactory(new bindingHttp.HttpClientFactory());
const wot = await servient.start();

async function thing(name) {
  return wot.consume(await wot.requestThingDescription(new URL(`${name}/`, server).href));
}

// Invoke an action and wait for its end. The Scripting API has no method for `queryaction` yet, so
// its form is chosen among those of the action.
async function run(thing, action, input) {
  const forms = thing.getThingDescription().actions[action].forms;
  const formIndex = forms.findIndex(({ op }) => op === "queryaction");
  let status = await json(await thing.invokeAction(action, input));
  const uriVariables = { actionID: status.id };
  while (!["completed", "failed"].includes(status.status)) {
    await new Promise((resume) => setTimeout(resume, 100));
    status = await json(await thing.invokeAction(action, undefined, { formIndex, uriVariables }));
  }
  if (status.status === "failed") throw new Error(`${action}: ${status.error.detail}`);
  return status.output;
}

async function json(output) {
  return JSON.parse(new TextDecoder().decode(await output.arrayBuffer()));
}

const stage = await thing("stage");
const autofocus = await thing("autofocus");

const watching = await stage.observeProperty("position", async (output) => {
  const { x, y, z } = await output.value();
  console.log(`  at ${[x, y, z].map((axis) => axis.toFixed(1)).join(", ")} µm`);
});
console.log("The stage moves.");
const reached = await run(stage, "move_to", { x: 60, y: -40 });
console.log(`It has reached ${JSON.stringify(reached)}.`);
await watching.stop();

await stage.writeProperty("speed", 2000);
let resolveFocused;
const focused = new Promise((resolve) => (resolveFocused = resolve));
const listening = await autofocus.subscribeEvent("focused", async (output) => {
  console.log(`Event of the microscope: in focus at ${(await output.value()).toFixed(2)} µm.`);
  resolveFocused();
});
console.log("It looks for the focus.");
const curve = await run(autofocus, "autofocus", { range_um: 40, steps: 11 });
console.log(`The sharpest of ${curve.z.length} pictures led to z = ${curve.best_z.toFixed(2)} µm.`);
// There is no event if the focus may lie beyond the range, so the wait has a limit.
await Promise.race([focused, new Promise((resume) => setTimeout(resume, 5000))]);
await listening.stop();

await servient.shutdown();
process.exit(0);
