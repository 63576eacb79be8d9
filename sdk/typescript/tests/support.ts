// What the tests share: a server of given answers, and a clock that nobody waits for.

import { Antiphon, type ClientOptions, type Clock } from "../src/index.ts";

/** A request as `fetch` got it. */
export interface Sent {
  url: URL;
  method: string;
  headers: Headers;
  body: unknown;
  signal: AbortSignal;
}

declare function setImmediate(then: (value?: unknown) => void): void;

export type Answer = Response | Error | ((sent: Sent) => Response | Promise<Response>);

/** A clock whose time passes when everything waits for it. */
export class FakeClock implements Clock {
  time = 0;
  #timers: Array<{ at: number; then: () => void }> = [];

  now(): number {
    return this.time;
  }

  wall(): number {
    return Date.UTC(2026, 10, 30) + this.time;
  }

  timer(ms: number, then: () => void): () => void {
    const timer = { at: this.time + ms, then };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((one) => one !== timer);
    };
  }

  get waiting(): number {
    return this.#timers.length;
  }

  /** Wait for a promise; whenever nothing else is left to do, the next timer runs out. */
  async until<T>(promise: PromiseLike<T>): Promise<T> {
    let isSettled = false;
    const settled = (): void => {
      isSettled = true;
    };
    promise.then(settled, settled);
    for (;;) {
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setTimeout(resolve));
      if (isSettled) return promise;
      this.#timers.sort((one, other) => one.at - other.at);
      const next = this.#timers.shift();
      if (!next) throw new Error("it waits for nothing");
      this.time = Math.max(this.time, next.at);
      next.then();
    }
  }
}

/** A file may take so many turns of the event loop. */
const MOST_IDLE = 100_000;

/** A clock for thousands of timers, of programs that wait for nothing but this clock. */
export class SteppedClock implements Clock {
  time = 0;
  /** The next is the last. */
  readonly #timers: Array<{ at: number; then: () => void }> = [];

  now(): number {
    return this.time;
  }

  wall(): number {
    return Date.UTC(2026, 10, 30) + this.time;
  }

  timer(ms: number, then: () => void): () => void {
    const timer = { at: this.time + ms, then };
    let [low, high] = [0, this.#timers.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#timers[middle]?.at ?? 0) > timer.at) low = middle + 1;
      else high = middle;
    }
    this.#timers.splice(low, 0, timer);
    return () => {
      const at = this.#timers.indexOf(timer);
      if (at >= 0) this.#timers.splice(at, 1);
    };
  }

  get waiting(): number {
    return this.#timers.length;
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.timer(ms, resolve));
  }

  /** Wait for a promise; time passes whenever nothing else is left to do. */
  async until<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const settled = (): void => {
      isSettled = true;
    };
    promise.then(settled, settled);
    for (let idle = 0; ; ) {
      // Bodies and files are read in turns of the event loop as well.
      await new Promise((resolve) => setImmediate(resolve));
      if (isSettled) return promise;
      const next = this.#timers.pop();
      if (!next) {
        if (++idle > MOST_IDLE) throw new Error("it waits for nothing");
        continue;
      }
      idle = 0;
      this.time = Math.max(this.time, next.at);
      next.then();
    }
  }
}

/** Return a client whose answers are these, one after the other, and what it sent. */
export function served(
  answers: Answer[],
  options: ClientOptions = {},
): { client: Antiphon; sent: Sent[]; clock: FakeClock } {
  const sent: Sent[] = [];
  const clock = new FakeClock();
  const client = new Antiphon({
    apiKey: "secret-key",
    baseURL: "http://server",
    clock,
    random: () => 0,
    logLevel: "off",
    fetch: async (url, init) => {
      const body = typeof init.body === "string" ? JSON.parse(init.body) : init.body;
      const request: Sent = {
        url: new URL(url),
        method: init.method as string,
        headers: new Headers(init.headers),
        body,
        signal: init.signal as AbortSignal,
      };
      sent.push(request);
      const answer = answers[sent.length - 1];
      if (answer === undefined) throw new Error("there is no answer left");
      if (answer instanceof Error) throw answer;
      return typeof answer === "function" ? answer(request) : answer;
    },
    ...options,
  });
  return { client, sent, clock };
}

export function json(
  body: unknown,
  status: number = 200,
  headers: Record<string, string> = {},
): Response {
  return Response.json(body, { status, headers: { "request-id": "req_1", ...headers } });
}

export function failure(status: number, type: string, headers = {}): Response {
  return json({ type: "error", error: { type, message: "No." } }, status, headers);
}

export const MESSAGE = {
  id: "msg_1",
  type: "message",
  role: "assistant",
  model: "m",
  content: [{ type: "text", text: "Hello.", citations: [] }],
  stop_reason: "end_turn",
  stop_sequence: null,
  usage: { input_tokens: 3, output_tokens: 2 },
};

export const ASK = {
  model: "m",
  max_tokens: 16,
  messages: [{ role: "user" as const, content: "Hi" }],
};

/** Return an answer that streams these events. */
export function streaming(events: readonly object[], end: "close" | "hang" | Error = "close") {
  return (sent: Sent): Response => {
    const utf8 = new TextEncoder();
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        sent.signal.addEventListener("abort", () => controller.error(sent.signal.reason));
        // In few pieces, as a fast server sends them.
        const size = events.length > 1000 ? 100 : 1;
        for (let at = 0; at < events.length; at += size) {
          const frames = events.slice(at, at + size).map(frame);
          controller.enqueue(utf8.encode(frames.join("")));
        }
        if (end instanceof Error) setTimeout(() => controller.error(end));
        else if (end === "close") controller.close();
      },
    });
    const headers = { "content-type": "text/event-stream", "request-id": "req_1" };
    return new Response(body, { headers });
  };
}

export function frame(event: object): string {
  return `event: ${(event as { type?: string }).type}\ndata: ${JSON.stringify(event)}\n\n`;
}

const { content: _, ...begun } = { ...MESSAGE, stop_reason: null };

export function start(): object {
  return { type: "message_start", message: { ...begun, content: [] } };
}

export function textEvents(...texts: string[]): object[] {
  return [
    start(),
    {
      type: "content_block_start",
      index: 0,
      content_block: { type: "text", text: "", citations: [] },
    },
    ...texts.map((text) => ({
      type: "content_block_delta",
      index: 0,
      delta: { type: "text_delta", text },
    })),
    { type: "content_block_stop", index: 0 },
    ...ending("end_turn"),
  ];
}

export function ending(stop_reason: string): object[] {
  return [
    {
      type: "message_delta",
      delta: { stop_reason, stop_sequence: null },
      usage: { output_tokens: 9 },
    },
    { type: "message_stop" },
  ];
}

/** Return what a promise is rejected with. */
export async function caught(promise: PromiseLike<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error("it did not fail");
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}
