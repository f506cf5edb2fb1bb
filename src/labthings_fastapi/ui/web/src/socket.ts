// The one WebSocket of this tab: requests, subscriptions, and a new connection when it is lost.
import { signal } from "@preact/signals";
import { root, type Problem } from "./api";
import { isSeen } from "./socket_order";

export interface Message {
  messageType: string;
  operation: string;
  thingID?: string;
  thing?: string;
  name?: string;
  kind?: string;
  actionID?: string;
  correlationID?: string;
  subscription?: string;
  seq?: string;
  timestamp?: string;
  value?: unknown;
  data?: unknown;
  values?: Record<string, unknown>;
  error?: Problem;
  [member: string]: unknown;
}

/** One frame of a stream: what its header says, and the bytes of the picture. */
export interface Frame {
  thingID: string;
  name: string;
  index: number;
  timestamp: string;
  contentType: string;
  data: Uint8Array<ArrayBuffer>;
}

type Members = Record<string, unknown>;
type Handler = (message: Message) => void;

interface Subscription {
  members: Members;
  handle: Handler;
  lastSeq: string | null;
  correlation: string;
  uses: number;
}

interface Pending {
  resolve: (message: Message) => void;
  reject: (problem: Problem) => void;
}

const PAUSES = [250, 500, 1000, 2000, 4000];
const SILENCE = 12_000;
const PATIENCE = 5_000;
const LOST: Problem = { status: 0, title: "Connection lost", detail: "The connection was lost before the answer came." };

export class Socket {
  /** Whether there is a connection; `since` is when it was lost (ms), null while there is one. */
  readonly open = signal(false);
  readonly since = signal<number | null>(null);
  /** How many connections there were: values of earlier ones are not fresh. */
  readonly generation = signal(0);
  onOpen: () => void = () => undefined;
  onLost: () => void = () => undefined;
  /** A harmless request, to see whether the other side is there. */
  probe: () => Members | null = () => null;

  private socket: WebSocket | null = null;
  private attempts = 0;
  private timer = 0;
  private heard = 0;
  private number = 0;
  private readonly pending = new Map<string, Pending>();
  private readonly subscriptions = new Map<string, Subscription>();
  private readonly byCorrelation = new Map<string, Subscription>();
  private readonly viewers = new Map<string, (frame: Frame) => void>();

  start(): void {
    this.connect();
    window.addEventListener("online", () => this.retry());
    document.addEventListener("visibilitychange", () => document.hidden || this.retry());
    window.setInterval(() => this.check(), 4000);
  }

  /** Try to connect now, rather than after the pause. */
  retry(): void {
    if (this.socket) return;
    this.attempts = 0;
    window.clearTimeout(this.timer);
    this.connect();
  }

  private connect(): void {
    const address = new URL("ws", root);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address, "webthingprotocol");
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.opened();
    socket.onmessage = (event) => {
      if (typeof event.data === "string") this.receive(event.data);
      else this.receiveFrame(event.data as ArrayBuffer);
    };
    socket.onclose = () => this.closed(socket);
  }

  private opened(): void {
    this.attempts = 0;
    this.heard = Date.now();
    this.generation.value += 1;
    this.open.value = true;
    this.since.value = null;
    for (const subscription of this.subscriptions.values()) this.begin(subscription);
    this.onOpen();
  }

  private closed(socket: WebSocket): void {
    if (this.socket !== socket) return;
    this.socket = null;
    if (this.open.value || this.since.value === null) this.since.value = Date.now();
    const wasOpen = this.open.value;
    this.open.value = false;
    for (const { reject } of this.pending.values()) reject(LOST);
    this.pending.clear();
    const pause = PAUSES[Math.min(this.attempts, PAUSES.length - 1)]!;
    this.attempts += 1;
    this.timer = window.setTimeout(() => this.connect(), pause * (0.75 + Math.random() / 2));
    if (wasOpen || this.attempts % 4 === 2) this.onLost();
  }

  /** Close a connection whose other side is silent: a cable was pulled, for example. */
  private check(): void {
    if (!this.open.value || Date.now() - this.heard < SILENCE) return;
    const members = this.probe();
    if (!members) return;
    const socket = this.socket;
    const asked = Date.now();
    this.request(members).catch(() => undefined);
    window.setTimeout(() => {
      if (socket && socket === this.socket && this.heard < asked) {
        socket.onclose = null;
        socket.close();
        this.closed(socket);
      }
    }, PATIENCE);
  }

  private receive(text: string): void {
    this.heard = Date.now();
    const message = JSON.parse(text) as Message;
    if (message.messageType === "response") {
      const pending = this.pending.get(message.correlationID ?? "");
      this.pending.delete(message.correlationID ?? "");
      if (message.error) pending?.reject({ ...message.error, values: message.values } as Problem);
      else pending?.resolve(message);
      return;
    }
    const subscription = this.byCorrelation.get(message.correlationID ?? "");
    if (!subscription || isSeen(subscription.lastSeq, message.seq)) return;
    if (message.seq) subscription.lastSeq = message.seq;
    subscription.handle(message);
  }

  private receiveFrame(message: ArrayBuffer): void {
    this.heard = Date.now();
    const length = new DataView(message).getUint32(0);
    const header = new TextDecoder().decode(new Uint8Array(message, 4, length));
    const frame = { ...(JSON.parse(header) as Omit<Frame, "data">), data: new Uint8Array(message, 4 + length) };
    this.viewers.get(`${frame.thingID} ${frame.name}`)?.(frame);
  }

  /** Show the frames of a stream, also after each new connection. */
  view(thingID: string, name: string, show: (frame: Frame) => void): () => void {
    const key = `${thingID} ${name}`;
    this.viewers.set(key, show);
    const end = this.subscribe({ operation: "labthings:observestream", thingID, name }, () => undefined);
    return () => {
      end();
      this.viewers.delete(key);
    };
  }

  private nextId(): string {
    this.number += 1;
    return `p${this.number}`;
  }

  private send(members: Members, correlationID: string): boolean {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify({ messageType: "request", messageID: crypto.randomUUID?.() ?? correlationID, correlationID, ...members }));
    return true;
  }

  /** Send a request; raises a Problem if it is refused, or if the connection is lost meanwhile. */
  request(members: Members): Promise<Message> {
    return new Promise((resolve, reject) => {
      const id = this.nextId();
      if (!this.send(members, id)) reject(LOST);
      else this.pending.set(id, { resolve, reject });
    });
  }

  private begin(subscription: Subscription): void {
    const id = this.nextId();
    this.byCorrelation.delete(subscription.correlation);
    subscription.correlation = id;
    this.byCorrelation.set(id, subscription);
    const last = subscription.lastSeq ? { lastNotificationID: subscription.lastSeq } : {};
    if (this.send({ ...subscription.members, ...last }, id)) {
      this.pending.set(id, { resolve: () => undefined, reject: (problem) => {
        if (problem.status) console.warn(`Not subscribed: ${problem.detail}`);
      } });
    }
  }

  /** Subscribe, also after each new connection; the same request twice is one subscription. */
  subscribe(members: Members, handle: Handler): () => void {
    const key = JSON.stringify(members);
    let found = this.subscriptions.get(key);
    if (found) {
      found.uses += 1;
      found.handle = handle;
    } else {
      found = { members, handle, lastSeq: null, correlation: "", uses: 1 };
      this.subscriptions.set(key, found);
      if (this.open.value) this.begin(found);
    }
    const subscription = found;
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      subscription.uses -= 1;
      if (subscription.uses) return;
      this.subscriptions.delete(key);
      this.byCorrelation.delete(subscription.correlation);
      const operation = String(members["operation"]);
      const [, prefix = "", verb = ""] = /^(.*:)?(.*)$/.exec(operation) ?? [];
      this.request({ ...members, operation: `${prefix}un${verb}` }).catch(() => undefined);
    };
  }
}
