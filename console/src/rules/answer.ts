// An answer of the Messages API as it grows: the fold of its stream events.

export interface Block {
  type: string;
  text: string;
  /** The name of a tool that is called. */
  name: string | null;
  id: string | null;
  signature: string | null;
}

export interface Usage {
  input_tokens: number;
  output_tokens: number;
  cache_read_input_tokens: number;
  cache_creation_input_tokens: number;
}

export interface Answer {
  blocks: Block[];
  usage: Usage;
  stopReason: string | null;
  model: string | null;
  /** An error that the stream ended with. */
  error: string | null;
  done: boolean;
}

const NO_USAGE: Usage = {
  input_tokens: 0,
  output_tokens: 0,
  cache_read_input_tokens: 0,
  cache_creation_input_tokens: 0,
};

export const EMPTY: Answer = {
  blocks: [],
  usage: NO_USAGE,
  stopReason: null,
  model: null,
  error: null,
  done: false,
};

// biome-ignore lint/suspicious/noExplicitAny: events are JSON of the server; unknown ones are passed over
type Json = any;

/** Return the answer after one more event. Events that this page does not know change nothing. */
export function fold(answer: Answer, event: Json): Answer {
  switch (event?.type) {
    case "message_start":
      return {
        ...answer,
        model: event.message.model,
        usage: { ...answer.usage, ...counts(event.message.usage) },
      };
    case "content_block_start":
      return { ...answer, blocks: [...answer.blocks, begun(event.content_block)] };
    case "content_block_delta":
      return { ...answer, blocks: answer.blocks.with(event.index, grown(answer, event)) };
    case "message_delta":
      return {
        ...answer,
        stopReason: event.delta.stop_reason ?? answer.stopReason,
        usage: { ...answer.usage, ...counts(event.usage) },
      };
    case "message_stop":
      return { ...answer, done: true };
    default:
      return answer;
  }
}

/** Return the answer whose stream ended with an error. */
export function brokenOff(answer: Answer, message: string): Answer {
  return { ...answer, error: message, done: true };
}

function counts(usage: Json): Partial<Usage> {
  const known = Object.keys(NO_USAGE).filter((name) => typeof usage?.[name] === "number");
  return Object.fromEntries(known.map((name) => [name, usage[name]]));
}

function begun(block: Json): Block {
  return {
    type: block.type,
    text: block.text ?? block.thinking ?? block.data ?? "",
    name: block.name ?? null,
    id: block.id ?? null,
    signature: block.signature ?? null,
  };
}

function grown(answer: Answer, event: Json): Block {
  const block = answer.blocks[event.index];
  if (!block) throw new RangeError(`the stream has no block ${event.index}`);
  const { delta } = event;
  if (delta.type === "signature_delta") return { ...block, signature: delta.signature };
  return {
    ...block,
    text: block.text + (delta.text ?? delta.thinking ?? delta.partial_json ?? ""),
  };
}

/** Return the answer's blocks as the next request repeats them. */
export function asContent(answer: Answer): Json[] {
  return answer.blocks.flatMap((block): Json[] => {
    switch (block.type) {
      case "text":
        return block.text ? [{ type: "text", text: block.text }] : [];
      case "thinking":
        return [{ type: "thinking", thinking: block.text, signature: block.signature ?? "" }];
      case "redacted_thinking":
        return [{ type: "redacted_thinking", data: block.text }];
      case "tool_use":
        return [{ type: "tool_use", id: block.id, name: block.name, input: parsed(block.text) }];
      default:
        return [];
    }
  });
}

function parsed(text: string): Json {
  try {
    return JSON.parse(text || "{}");
  } catch {
    return {}; // An answer that was stopped inside of its call.
  }
}
