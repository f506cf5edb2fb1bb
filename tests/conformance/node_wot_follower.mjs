// node-wot follows everything that Things tell: each observable property, each event.

import bindingHttp from "@node-wot/binding-http";
import core from "@node-wot/core";
import { follow, tell } from "./line_by_line.mjs";

const servient = new core.Servient();
servient.addClientFactory(new bindingHttp.HttpClientFactory());
const wot = await servient.start();

await follow(async (thing, url) => {
  const consumed = await wot.consume(await wot.requestThingDescription(url));
  const { properties, events } = consumed.getThingDescription();
  const listeners = (name) => [
    async (output) => {
      try {
        tell({ thing, name, value: await output.value() });
      } catch (error) {
        tell({ thing, name, error: `${error}` });
      }
    },
    (error) => tell({ thing, name, error: `${error}` }),
  ];
  for (const [name, { observable }] of Object.entries(properties)) {
    if (observable) await consumed.observeProperty(name, ...listeners(name));
  }
  for (const name of Object.keys(events ?? {})) await consumed.subscribeEvent(name, ...listeners(name));
});
