// A message as it is made: its events one by one, its texts, and the whole at the end.

import type { Clock } from "./clock.ts";
import { isRecord } from "./error_body.ts";
import {
  APIConnectionError,
  APIConnectionTimeoutError,
  APIError,
  APIResponseValidationError,
  eventError,
} from "./errors.ts";
import { type Ending, lost, type Pacer, type Reply, userAbort } from "./exchange.ts";
import { EventOrderError, Folded } from "./fold.ts";
import { keepRequestId } from "./request_id.ts";
import { textOf } from "./schema.ts";
import { EventDecoder } from "./sse.ts";
import type { Message, MessageStreamEvent, TextCitation } from "./wire.ts";

type Reader = ReadableStreamDefaultReader<Uint8Array>;

/** How long a connection may take to end behind its message. */
const DRAIN_MS = 1000;

/** What streams of another vocabulary end with; some proxies write it here as well. */
const DONE = "[DONE]";

/** What `on` tells of. Each is told when somebody reads the stream. */
export interface Told {
  event: [event: MessageStreamEvent];
  text: [delta: string];
  thinking: [delta: string];
  citation: [citation: TextCitation];
  /** The whole block, when it ends. */
  block: [block: Message["content"][number], index: number];
}

/** What a stream needs of its client. */
export interface StreamMeans {
  ending: Ending;
  clock: Clock;
  /** Milliseconds without content; pings are none. */
  idleTimeout: number | null;
  limiter: Pacer | undefined;
}

/**
 * The stream of a message. Iterating gives its events.
 *
 * Nothing is read before somebody asks, and several may read at once: each sees all that comes from
 * then on. Leaving a loop early, or `abort()`, closes the connection, and the server stops.
 */
export class MessageStream implements AsyncIterable<MessageStreamEvent> {
  readonly #opened: Promise<Reply<Response>>;
  readonly #means: StreamMeans;
  readonly #decoder: EventDecoder = new EventDecoder();
  readonly #folded: Folded = new Folded();
  readonly #readers: Set<Queue> = new Set();
  readonly #listeners: { [Name in keyof Told]?: Array<(...told: Told[Name]) => void> } = {};
  #body: Reader | undefined;
  #reply: Reply<Response> | undefined;
  #pulling: Promise<void> | undefined;
  #isOver = false;
  #error: unknown;
  /** What a listener threw: it is for whoever reads, as it is. */
  #thrown: unknown;

  constructor(opened: Promise<Reply<Response>>, means: StreamMeans) {
    this.#opened = opened;
    this.#means = means;
    opened.then(
      (reply) => {
        this.#reply = reply;
      },
      () => {}, // Whoever reads is told of it.
    );
  }

  /** The message so far; `undefined` before it begins. It is one object, which grows. */
  get snapshot(): Message | undefined {
    return this.#folded.message;
  }

  /** The id that the server gave the request; `null` before its answer begins. */
  get requestId(): string | null {
    return this.#reply?.requestId ?? null;
  }

  /** Return the head of the answer, once it is there. */
  async response(): Promise<Response> {
    return (await this.#opened).response;
  }

  /** Return the input so far of the call that is the block with this index. */
  input(index: number): unknown {
    return this.#folded.input(index);
  }

  /** Tell a function of what comes, whenever the stream is read. */
  on<Name extends keyof Told>(name: Name, listener: (...told: Told[Name]) => void): this {
    const known: Array<(...told: Told[Name]) => void> = this.#listeners[name] ?? [];
    known.push(listener);
    (this.#listeners as Record<Name, typeof known>)[name] = known;
    return this;
  }

  /** End the stream: readers get an `APIUserAbortError`. */
  abort(): void {
    if (!this.#isOver) this.#means.ending.end(userAbort());
  }

  /** Read to the end and return the message. Throws `APIError` if it does not come whole. */
  async finalMessage(): Promise<Message> {
    while (!this.#isOver) await this.#pull();
    if (this.#error) throw this.#error;
    return this.#folded.message as Message;
  }

  /** Read to the end and return the text of the message. */
  async finalText(): Promise<string> {
    return textOf(await this.finalMessage());
  }

  /** Read to the end. */
  async done(): Promise<void> {
    await this.finalMessage();
  }

  /** The texts of the message as they come. */
  get textStream(): AsyncIterable<string> {
    return {
      [Symbol.asyncIterator]: () =>
        this.#iterate((event) =>
          event.type === "content_block_delta" && event.delta.type === "text_delta"
            ? event.delta.text
            : undefined,
        ),
    };
  }

  [Symbol.asyncIterator](): AsyncIterator<MessageStreamEvent> {
    return this.#iterate((event) => event);
  }

  #iterate<T>(pick: (event: MessageStreamEvent) => T | undefined): AsyncIterator<T> {
    const queue = new Queue();
    this.#readers.add(queue);
    const found = (): T | undefined => {
      for (let event = queue.shift(); event !== undefined; event = queue.shift()) {
        const value = pick(event);
        if (value !== undefined) return value;
      }
      return undefined;
    };
    const later = async (): Promise<IteratorResult<T>> => {
      while (!this.#isOver) {
        await this.#pull();
        const value = found();
        if (value !== undefined) return { done: false, value };
      }
      this.#readers.delete(queue);
      if (this.#error) throw this.#error;
      return { done: true, value: undefined };
    };
    return {
      next: () => {
        const value = found();
        return value === undefined ? later() : Promise.resolve({ done: false, value });
      },
      return: async () => {
        this.#readers.delete(queue);
        this.abort();
        return { done: true, value: undefined };
      },
    };
  }

  /** Read until there is content. What several readers ask for at once is read once. */
  #pull(): Promise<void> {
    this.#pulling ??= this.#read().finally(() => {
      this.#pulling = undefined;
    });
    return this.#pulling;
  }

  async #read(): Promise<void> {
    try {
      if (!this.#body) await this.#open();
      this.#boundSilence();
      while (!(await this.#readPiece()));
      // A reader that takes its time is no silence of the server.
      this.#means.ending.unbound();
    } catch (error) {
      this.#fail(error);
    }
  }

  async #open(): Promise<void> {
    const { body } = (await this.#opened).response;
    if (!body) throw new APIConnectionError("the answer has no body", this.requestId);
    this.#body = body.getReader() as Reader;
  }

  #boundSilence(): void {
    const { ending, clock, idleTimeout } = this.#means;
    ending.bound(clock, idleTimeout, () => {
      const told = `the stream brought nothing but pings in ${(idleTimeout ?? 0) / 1000} s`;
      return new APIConnectionTimeoutError(`${told} (\`idleTimeout\`)`, this.requestId);
    });
  }

  /** Read one piece of the body; return whether it brought content. */
  async #readPiece(): Promise<boolean> {
    const { done, value } = await (this.#body as Reader).read();
    let hasContent = false;
    for (const data of done ? this.#decoder.end() : this.#decoder.push(value)) {
      // Nothing is of the message behind its last event.
      if (this.#isOver) break;
      if (!data.trim() || data === DONE) continue;
      const event = this.#decoded(data);
      if (event.type === "ping") continue;
      hasContent = true;
      this.#take(event);
      // A listener may have ended it.
      if (this.#means.ending.error) throw this.#means.ending.error;
    }
    if (done && !this.#isOver) {
      throw new APIConnectionError("the stream ended before its message did", this.requestId);
    }
    return hasContent;
  }

  #decoded(data: string): MessageStreamEvent {
    let event: unknown;
    try {
      event = JSON.parse(data);
    } catch {
      throw this.#invalid("an event is not JSON");
    }
    if (!isRecord(event) || typeof event.type !== "string") {
      throw this.#invalid("an event is not an object with a type");
    }
    return event as unknown as MessageStreamEvent;
  }

  #invalid(why: string): APIResponseValidationError {
    const { status } = (this.#reply as Reply<Response>).response;
    return new APIResponseValidationError(
      `the stream is none of the API: ${why}`,
      status,
      this.requestId,
    );
  }

  #take(event: MessageStreamEvent): void {
    if (event.type === "error") throw eventError(event, (this.#reply as Reply<Response>).response);
    try {
      this.#folded.add(event);
    } catch (error) {
      const isOrder = error instanceof EventOrderError;
      throw this.#invalid(isOrder ? error.message : `${event.type} lacks what belongs to it`);
    }
    if (event.type === "message_start") keepRequestId(this.snapshot as Message, this.requestId);
    for (const queue of this.#readers) queue.push(event);
    try {
      this.#tell(event);
    } catch (error) {
      this.#thrown = error;
      throw error;
    }
    if (event.type === "message_stop") {
      this.#isOver = true;
      const { response } = this.#reply as Reply<Response>;
      this.#means.limiter?.ended(response, (this.snapshot as Message).usage);
      void this.#drain();
    }
  }

  #tell(event: MessageStreamEvent): void {
    const { event: all, text, thinking, citation, block } = this.#listeners;
    for (const listener of all ?? []) listener(event);
    if (event.type === "content_block_delta") {
      const { delta } = event;
      if (delta.type === "text_delta") for (const tell of text ?? []) tell(delta.text);
      else if (delta.type === "thinking_delta") {
        for (const tell of thinking ?? []) tell(delta.thinking);
      } else if (delta.type === "citations_delta") {
        for (const tell of citation ?? []) tell(delta.citation);
      }
    } else if (event.type === "content_block_stop" && block) {
      const whole = this.snapshot?.content[event.index];
      if (whole) for (const tell of block) tell(whole, event.index);
    }
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    const { ending } = this.#means;
    const found = error instanceof APIError ? error : lost("the stream broke off", error, 0);
    this.#error = this.#thrown ?? ending.error ?? found;
    this.#isOver = true;
    // An error that the stream itself tells leaves the connection open.
    ending.end(found);
    ending.settle();
  }

  /** Read what is behind the message, nothing as a rule, so that the connection can be used again. */
  async #drain(): Promise<void> {
    const { ending, clock } = this.#means;
    ending.bound(clock, DRAIN_MS, () => userAbort());
    try {
      while (!(await (this.#body as Reader).read()).done);
    } catch {
      // The message is whole.
    }
    ending.settle();
  }
}

/** The events that one reader has not read. */
class Queue {
  #events: MessageStreamEvent[] = [];
  #first = 0;

  push(event: MessageStreamEvent): void {
    this.#events.push(event);
  }

  shift(): MessageStreamEvent | undefined {
    const event = this.#events[this.#first];
    if (event === undefined) {
      if (this.#first) {
        this.#events = [];
        this.#first = 0;
      }
      return undefined;
    }
    this.#first++;
    return event;
  }
}
