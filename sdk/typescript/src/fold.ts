// From the events of a stream to its message, in place: each event costs what it brings.

import { isRecord } from "./errors.ts";
import type { Unknown } from "./open.ts";
import { inputOf, partialJson } from "./partial.ts";
import type {
  ContentBlock,
  ContentBlockDelta,
  Message,
  MessageStreamEvent,
  StartedBlock,
} from "./wire.ts";

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
    if (text !== undefined) return partialJson(text);
    const block: unknown = this.#message?.content[index];
    return isRecord(block) ? block.input : undefined;
  }

  add(event: MessageStreamEvent): void {
    if (event.type === "content_block_delta") {
      this.#delta(event.index, event.delta);
      return;
    }
    // The events stay as they came, so what grows is a copy.
    if (event.type === "message_start") {
      const { content, usage } = event.message;
      this.#message = { ...event.message, content: [...content], usage: { ...usage } };
    }
    const message = this.#message;
    if (!message) return;
    if (event.type === "content_block_start") {
      message.content[event.index] = copyOf(event.content_block);
    } else if (event.type === "content_block_stop") {
      this.#close(event.index);
    } else if (event.type === "message_delta") {
      Object.assign(message, event.delta);
      for (const [name, count] of Object.entries(event.usage)) {
        if (count !== null && count !== undefined) Object.assign(message.usage, { [name]: count });
      }
    } else if (event.type === "message_stop") {
      this.#isWhole = true;
    }
  }

  #delta(index: number, delta: ContentBlockDelta): void {
    const block = this.#message?.content[index] as Record<string, unknown> | undefined;
    if (!block) return;
    if (delta.type === "text_delta") block.text = (block.text as string) + delta.text;
    else if (delta.type === "input_json_delta") {
      this.#inputs.set(index, (this.#inputs.get(index) ?? "") + delta.partial_json);
    } else if (delta.type === "thinking_delta") {
      block.thinking = (block.thinking as string) + delta.thinking;
    } else if (delta.type === "signature_delta") block.signature = delta.signature;
    else if (delta.type === "citations_delta") {
      if (Array.isArray(block.citations)) block.citations.push(delta.citation);
      else block.citations = [delta.citation];
    } else grow(block, delta);
  }

  #close(index: number): void {
    const text = this.#inputs.get(index);
    const block = this.#message?.content[index];
    if (text === undefined || !block) return;
    this.#inputs.delete(index);
    (block as Record<string, unknown>).input = inputOf(text);
  }
}

function copyOf(started: StartedBlock): ContentBlock {
  const block: Record<string, unknown> = { ...started };
  if (Array.isArray(block.citations)) block.citations = [...block.citations];
  return block as unknown as ContentBlock;
}

/** Add a delta of an unknown kind: its texts go on those of the block. */
function grow(block: Record<string, unknown>, delta: Unknown): void {
  for (const [name, value] of Object.entries(delta)) {
    if (name === "type") continue;
    const before = block[name];
    block[name] = typeof value === "string" && typeof before === "string" ? before + value : value;
  }
}
