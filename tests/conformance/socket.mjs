// The W3C's Web Thing Protocol and the older messages of LabThings, spoken by `ws`, the WebSocket
// of Node, with a Thing, of which only the URL of its description is given.

import WebSocket from "ws";
import { answer, until } from "./json_in_json_out.mjs";

const SUBPROTOCOL = "webthingprotocol";

class Client {
  constructor(url, subprotocols) {
    this.socket = new WebSocket(url, subprotocols);
    this.heard = [];
    this.answers = new Map();
    this.asked = 0;
    this.socket.on("message", (data, isBinary) => {
      if (isBinary) throw new Error("JSON comes as text");
      const message = JSON.parse(data);
      const asking = message.messageType === "response" && this.answers.get(message.correlationID);
      if (asking) asking(message);
      else this.heard.push(message);
    });
  }

  opened() {
    return new Promise((resolve, reject) => this.socket.on("open", resolve).on("error", reject));
  }

  send(members) {
    this.socket.send(JSON.stringify(members));
  }

  ask(operation, members) {
    const correlationID = `${++this.asked}`;
    const messageID = crypto.randomUUID();
    const answered = new Promise((resolve) => this.answers.set(correlationID, resolve));
    this.send({ messageType: "request", messageID, correlationID, operation, ...members });
    return answered;
  }

  async next(wanted) {
    await until(() => this.heard.some(wanted));
    return this.heard.find(wanted);
  }

  closed() {
    return new Promise((resolve) => {
      this.socket.on("close", (code, reason) => resolve({ code, reason: `${reason}` }));
      this.socket.close(1000);
    });
  }
}

function formOf(forms, operation) {
  const found = forms.find(({ subprotocol, op }) => subprotocol === SUBPROTOCOL && op.includes(operation));
  if (!found) throw new Error(`No form for ${operation}`);
  return found;
}

const vocabularies = {
  async webThing(description, property, values, action, input) {
    const form = formOf(description.properties[property].forms, "observeproperty");
    const client = new Client(form.href, [form.subprotocol]);
    await client.opened();
    const thingID = description.id;
    await client.ask("observeproperty", { thingID, name: property });
    for (const value of values) {
      await client.ask("writeproperty", { thingID, name: property, value });
      await client.next((message) => message.value === value);
    }
    const refused = await client.ask("writeproperty", { thingID, name: property, value: "dark" });
    const begun = await client.ask("invokeaction", { thingID, name: action, input });
    const { actionID } = begun;
    const query = () => client.ask("queryaction", { thingID, name: action, actionID });
    let asked = await query();
    while (!["completed", "failed"].includes(asked.status.status)) asked = await query();
    const { protocol } = client.socket;
    const { heard } = client;
    return { protocol, heard, refused, begun, asked, closed: await client.closed() };
  },

  async labThings(description, property, values, action, input) {
    const { href } = formOf(description.properties[property].forms, "observeproperty");
    const client = new Client(href);
    await client.opened();
    client.send({ messageType: "addPropertyObservation", data: { [property]: true } });
    client.send({ messageType: "addActionObservation", data: { [action]: true } });
    await client.ask("readallproperties", {});
    const headers = { "Content-Type": "application/json" };
    for (const value of values) {
      const url = new URL(property, href.replace("ws", "http"));
      await fetch(url, { method: "PUT", headers, body: JSON.stringify(value) });
      await client.next(({ data }) => data[property] === value);
    }
    const url = new URL(action, href.replace("ws", "http"));
    await fetch(url, { method: "POST", headers, body: JSON.stringify(input) });
    await client.next(({ data }) => data[action]?.status === "completed");
    const { protocol } = client.socket;
    return { protocol, heard: client.heard, closed: await client.closed() };
  },
};

await answer(async ({ url, vocabulary, args }) => {
  const description = await (await fetch(url)).json();
  return vocabularies[vocabulary](description, ...args);
});
