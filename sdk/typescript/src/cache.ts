// `antiphon/cache`: where breakpoints of the prompt cache pay, if nobody says where.
//
// An entry is written at a breakpoint and found again at one, or up to twenty blocks before it. So of
// the four that a request may have, one stands behind the tools, one behind the system prompt, one at
// the end, and one where the turn before ended: its entry is found whatever this turn has added.

import { isRecord } from "./error_body.ts";
import type { Fetch } from "./exchange.ts";
import type { CacheControlEphemeral, MessageCountTokensParams } from "./wire.ts";

const PROMPTS = /\/v1\/messages(?:\/count_tokens)?$/;
/** Blocks that cannot have a breakpoint. */
const UNMARKED: readonly unknown[] = ["thinking", "redacted_thinking"];

type Part = Record<string, unknown>;
/** The parameters that make a prompt. */
type Prompt = Partial<Pick<MessageCountTokensParams, "messages" | "system" | "tools">>;

/** How long entries live that nobody has asked for one by one. For batches an hour is right. */
export type CacheTtl = "5m" | "1h";

/**
 * Return the parameters of a message with breakpoints where they pay.
 *
 * What the program has marked stays as it is: then nothing is added. The parameters that are given
 * are not changed.
 */
export function withBreakpoints<Params extends Prompt>(
  params: Params,
  ttl: CacheTtl = "5m",
): Params {
  if (isMarked(params as Part) || [...allBlocks(params)].some(isMarked)) return params;
  const mark: CacheControlEphemeral =
    ttl === "5m" ? { type: "ephemeral" } : { type: "ephemeral", ttl };
  const made: Part = { ...params };
  if (params.tools?.length) made.tools = markedTools(params.tools, mark);
  if (params.system) made.system = markedContent(params.system, mark) ?? params.system;
  if (params.messages?.length) made.messages = markedMessages(params.messages, mark);
  return made as Params;
}

/**
 * Return a `fetch` for a client whose prompts get breakpoints, those of a tool runner as well.
 *
 *     const client = new Antiphon({ fetch: fetchWithBreakpoints() });
 */
export function fetchWithBreakpoints(ttl: CacheTtl = "5m", through: Fetch = fetch): Fetch {
  return (url, init) => {
    const isPrompt = init.method === "POST" && PROMPTS.test(new URL(url).pathname);
    if (!isPrompt || typeof init.body !== "string") return through(url, init);
    const body = JSON.stringify(withBreakpoints(JSON.parse(init.body), ttl));
    return through(url, { ...init, body });
  };
}

function markedMessages(messages: readonly unknown[], mark: object): unknown[] {
  const made = messages.map((message) => (isRecord(message) ? message : {}));
  const last = made.length - 1;
  const before = made.findLastIndex(({ role }, at) => role === "user" && at < last);
  for (const at of before < 0 ? [last] : [before, last]) markMessage(made, at, mark);
  return made;
}

/** Mark the last block of a message that may be marked, or of one before it. */
function markMessage(messages: Part[], at: number, mark: object): void {
  for (let place = at; place >= 0; place--) {
    const message = messages[place] as Part;
    if (blocksOf(message.content).some(isMarked)) return;
    const content = markedContent(message.content, mark);
    if (!content) continue;
    messages[place] = { ...message, content };
    return;
  }
}

function markedTools(tools: readonly unknown[], mark: object): unknown[] {
  // A tool that is loaded later is no part of the beginning of the prompt.
  const at = tools.findLastIndex((tool) => isRecord(tool) && !tool.defer_loading);
  return tools.map((tool, place) =>
    place === at ? { ...(tool as Part), cache_control: mark } : tool,
  );
}

/** Return a content with its last block marked; `undefined` if it has none that may be. */
function markedContent(content: unknown, mark: object): Part[] | undefined {
  const blocks = blocksOf(content);
  const at = blocks.findLastIndex(({ type, text }) => {
    const isEmpty = type === "text" && !String(text ?? "").trim();
    return !UNMARKED.includes(type) && !isEmpty;
  });
  if (at < 0) return undefined;
  return blocks.map((block, place) => (place === at ? { ...block, cache_control: mark } : block));
}

function* allBlocks({ tools, system, messages }: Prompt): Generator<Part> {
  for (const tool of tools ?? []) yield tool as unknown as Part;
  yield* blocksOf(system);
  for (const { content } of messages ?? []) {
    for (const block of blocksOf(content)) {
      yield block;
      yield* blocksOf(block.content);
    }
  }
}

function blocksOf(content: unknown): Part[] {
  if (typeof content === "string") return [{ type: "text", text: content }];
  return Array.isArray(content) ? content.filter(isRecord) : [];
}

function isMarked(block: Part): boolean {
  return block.cache_control !== undefined && block.cache_control !== null;
}
