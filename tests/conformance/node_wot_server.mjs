// A lamp of node-wot, for clients. It listens until the process ends.

import bindingHttp from "@node-wot/binding-http";
import core from "@node-wot/core";

const server = new bindingHttp.HttpServer({ port: 0, address: "127.0.0.1" });
const servient = new core.Servient();
servient.addServer(server);
const wot = await servient.start();
// Otherwise its description names the addresses of the computer, but not this one.
server.baseUri = `http://127.0.0.1:${server.getPort()}`;

const lamp = await wot.produce({
  "@context": "https://www.w3.org/2022/wot/td/v1.1",
  title: "Lamp",
  properties: {
    level: { type: "integer", minimum: 0, maximum: 10, observable: true },
    warm: { type: "boolean", readOnly: true },
    broken: { type: "number", readOnly: true },
  },
  actions: {
    double: { input: { type: "integer" }, output: { type: "integer" } },
    blink: { input: { type: "object", properties: { times: { type: "integer" } } } },
    blink_at_once: { input: { type: "object", properties: { times: { type: "integer" } } } },
    wait: { input: { type: "object", properties: { seconds: { type: "number" } } }, output: { type: "string" } },
    fail: {},
  },
  events: { blinked: { data: { type: "object" } } },
});

let level = 1;
lamp.setPropertyReadHandler("level", async () => level);
lamp.setPropertyWriteHandler("level", async (input) => {
  level = await input.value();
  lamp.emitPropertyChange("level");
});
lamp.setPropertyReadHandler("warm", async () => level > 5);
lamp.setPropertyReadHandler("broken", async () => {
  throw new Error("no answer from the bulb");
});
lamp.setActionHandler("double", async (input) => 2 * (await input.value()));
lamp.setActionHandler("blink", async (input) => {
  const { times } = await input.value();
  for (let number = 0; number < times; number++) {
    lamp.emitEvent("blinked", { number });
    await new Promise((resume) => setTimeout(resume, 10));
  }
});
lamp.setActionHandler("blink_at_once", async (input) => {
  const { times } = await input.value();
  for (let number = 0; number < times; number++) lamp.emitEvent("blinked", { number });
});
lamp.setActionHandler("wait", async (input) => {
  const { seconds } = await input.value();
  await new Promise((resume) => setTimeout(resume, 1000 * seconds));
  return "done";
});
lamp.setActionHandler("fail", async () => {
  throw new Error("The filament is gone.");
});
await lamp.expose();
console.log(`Listening on ${server.baseUri} `);
