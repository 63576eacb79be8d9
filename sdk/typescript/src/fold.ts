// From the events of a stream to its message, in place: each event costs what it brings.

import { isRecord } from "./error_body.ts";
import type { Unknown } from "./open.ts";
import { inputOf, inputSoFar } from "./partial.ts";
import type {
  ContentBlock,
  ContentBlockDelta,
  Message,
  MessageStreamEvent,
  StartedBlock,
} from "./wire.ts";

/** Events that no server of the API sends in this order. */
export class EventOrderError extends Error {}

const OF_A_MESSAGE: readonly string[] = [
  "content_block_start",
  "content_block_stop",
  "message_delta",
  "message_stop",
];

/** A message that grows by the events of its stream. */
export class Folded {
  #message: Message | undefined;
  /** The JSON of the inputs that are not whole, by the index of their block. */
  readonly #inputs: Map<number, string> = new Map();
  #isWhole = false;

  /** The message so far; `undefined` before its first event. It is the same object to the end. */
  get message(): Message | undefined {
    return this.#message;
  }

  /** Whether the last event has come. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  /** Return the input of a call so far, as far as it is certain. */
  input(index: number): unknown {
    const text = this.#inputs.get(index);
    if (text !== undefined) return inputSoFar(text);
    const block: unknown = this.#message?.content[index];
    return isRecord(block) ? block.input : undefined;
  }

  /** Take the next event. Throws `EventOrderError` for one that no server of the API sends there. */
  add(event: MessageStreamEvent): void {
    if (event.type === "content_block_delta") {
      this.#delta(event.index, event.delta);
      return;
    }
    // The events stay as they came, so what grows is a copy.
    if (event.type === "message_start") {
      if (this.#message) throw new EventOrderError("a second message_start");
      const { content, usage } = event.message;
      this.#message = { ...event.message, content: [...content], usage: { ...usage } };
      return;
    }
    if (!OF_A_MESSAGE.includes(event.type)) return;
    const message = this.#message;
    if (!message) throw new EventOrderError(`${event.type} before message_start`);
    if (event.type === "content_block_start") {
      if (event.index !== message.content.length || !isRecord(event.content_block)) {
        throw new EventOrderError(`content block ${event.index} starts out of order`);
      }
      message.content.push(copyOf(event.content_block));
    } else if (event.type === "content_block_stop") {
      this.#close(event.index);
    } else if (event.type === "message_delta") {
      for (const [name, value] of fieldsOf(event.delta)) {
        // Not each event repeats the container.
        if (name !== "container" || value !== null) Object.assign(message, { [name]: value });
      }
      for (const [name, count] of fieldsOf(event.usage)) {
        if (count !== null) Object.assign(message.usage, { [name]: count });
      }
    } else if (event.type === "message_stop") {
      this.#isWhole = true;
    }
  }

  #delta(index: number, delta: ContentBlockDelta): void {
    const block = this.#blockAt(index);
    if (delta.type === "text_delta") block.text = `${block.text ?? ""}${piece(delta.text)}`;
    else if (delta.type === "input_json_delta") {
      this.#inputs.set(index, (this.#inputs.get(index) ?? "") + piece(delta.partial_json));
    } else if (delta.type === "thinking_delta") {
      block.thinking = `${block.thinking ?? ""}${piece(delta.thinking)}`;
    } else if (delta.type === "signature_delta") block.signature = delta.signature;
    else if (delta.type === "citations_delta") {
      if (Array.isArray(block.citations)) block.citations.push(delta.citation);
      else block.citations = [delta.citation];
    } else grow(block, delta);
  }

  #blockAt(index: number): Record<string, unknown> {
    const content = this.#message?.content ?? [];
    // A name such as "__proto__" is no index.
    const block = Number.isInteger(index) ? content[index] : undefined;
    if (!block) throw new EventOrderError(`content block ${index} has not been started`);
    return block as Record<string, unknown>;
  }

  #close(index: number): void {
    const block = this.#blockAt(index);
    const text = this.#inputs.get(index);
    if (text === undefined) return;
    this.#inputs.delete(index);
    block.input = inputOf(text);
  }
}

function copyOf(started: StartedBlock): ContentBlock {
  const block: Record<string, unknown> = { ...started };
  if (Array.isArray(block.citations)) block.citations = [...block.citations];
  return block as unknown as ContentBlock;
}

/** Return the fields of a part of an event. `__proto__` is not the name of one. */
function fieldsOf(part: unknown): Array<[string, unknown]> {
  const fields = isRecord(part) ? Object.entries(part) : [];
  return fields.filter(([name, value]) => name !== "__proto__" && value !== undefined);
}

/** Return a piece of a text, which is one. */
function piece(value: unknown): string {
  if (typeof value !== "string") throw new EventOrderError("a piece of a block is no text");
  return value;
}

/** Add a delta of an unknown kind: its texts go on those of the block. */
function grow(block: Record<string, unknown>, delta: Unknown): void {
  for (const [name, value] of fieldsOf(delta)) {
    if (name === "type") continue;
    const before = block[name];
    block[name] = typeof value === "string" && typeof before === "string" ? before + value : value;
  }
}
