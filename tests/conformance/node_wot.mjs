// node-wot uses a Thing, given only the URL of its description.

import bindingHttp from "@node-wot/binding-http";
import core from "@node-wot/core";
import { answer, until } from "./json_in_json_out.mjs";

const ENDED = ["completed", "failed"];

// The Scripting API has no word for queryaction: its form is chosen among those of the action.
function query(thing, action, actionID) {
  const forms = thing.getThingDescription().actions[action].forms;
  const formIndex = forms.findIndex(({ op }) => op === "queryaction");
  return thing.invokeAction(action, undefined, { formIndex, uriVariables: { actionID } });
}

async function json(output) {
  return JSON.parse(new TextDecoder().decode(await output.arrayBuffer()));
}

// Keep values in the order in which they came: while one is read, the next may come.
function noteInto(values) {
  let earlier = Promise.resolve();
  return (output) => {
    const value = output.value();
    earlier = earlier.then(async () => values.push(await value));
    return earlier;
  };
}

const steps = {
  read: async (thing, name) => (await thing.readProperty(name)).value(),

  write: (thing, name, value) => thing.writeProperty(name, value),

  async readAll(thing) {
    const values = {};
    for (const [name, output] of await thing.readAllProperties()) values[name] = await output.value();
    return values;
  },

  invoke: async (thing, name, input) => (await thing.invokeAction(name, input)).value(),

  async finish(thing, name, input) {
    const states = [await json(await thing.invokeAction(name, input))];
    const { id } = states[0];
    while (!ENDED.includes(states.at(-1).status)) states.push(await json(await query(thing, name, id)));
    return states;
  },

  async observe(thing, name, values) {
    const seen = [];
    const errors = [];
    const note = (error) => errors.push(`${error}`);
    const subscription = await thing.observeProperty(name, noteInto(seen), note);
    for (const value of values) await thing.writeProperty(name, value);
    await until(() => seen.at(-1) === values.at(-1));
    const before = errors.length;
    await subscription.stop();
    return { seen, active: subscription.active, errors: errors.slice(0, before) };
  },

  async hear(thing, event, action, input, count) {
    const heard = [];
    const subscription = await thing.subscribeEvent(event, noteInto(heard));
    await thing.invokeAction(action, input);
    await until(() => heard.length >= count);
    await subscription.stop();
    return { heard, active: subscription.active };
  },
};

await answer(async ({ url, step, args }) => {
  const servient = new core.Servient();
  servient.addClientFactory(new bindingHttp.HttpClientFactory());
  const wot = await servient.start();
  const thing = await wot.consume(await wot.requestThingDescription(url));
  try {
    return { result: (await steps[step](thing, ...args)) ?? null };
  } catch (error) {
    return { error: error.message };
  }
});
