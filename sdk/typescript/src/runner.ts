// The loop of a conversation with tools.

import type { CallOptions } from "./client.ts";
import { isRecord } from "./error_body.ts";
import type { Messages } from "./resources/messages.ts";
import type { MessageStream } from "./stream.ts";
import { errorContent, type RunnableTool, type ToolContext } from "./tools.ts";
import type {
  Message,
  MessageCreateBody,
  MessageParam,
  ToolResultBlockParam,
  ToolUnion,
  ToolUseBlock,
} from "./wire.ts";

export interface RunnerParams extends Omit<MessageCreateBody, "tools" | "stream"> {
  /** Tools of the program, made by `tool`, beside those of the server. */
  tools: ReadonlyArray<RunnableTool | ToolUnion>;
  /** The most messages that are created. No bound by default. */
  max_iterations?: number | undefined;
  /** Told of the stream of each message as it begins. Whatever it does not read is read behind it. */
  onStream?: ((stream: MessageStream) => void | Promise<void>) | undefined;
}

/**
 * A conversation with tools. Iterating gives each message of the model; awaiting it, the last.
 *
 * The tools of a message run at once, when the next message is asked for. An error of a tool is a
 * result that the model sees. The loop ends with a message without calls, after `max_iterations`,
 * or with a call of a tool that the program does not run: its message is the last.
 */
export class ToolRunner implements AsyncIterable<Message>, PromiseLike<Message> {
  /** The parameters of the messages to come. They may be changed, all but the tools that are run. */
  readonly params: Omit<MessageCreateBody, "stream">;
  readonly #resource: Messages;
  readonly #options: CallOptions;
  readonly #tools: ReadonlyMap<string, RunnableTool>;
  readonly #most: number;
  readonly #onStream: RunnerParams["onStream"];
  readonly #messages: MessageParam[];
  #last: Message | undefined;
  #iterations = 0;

  constructor(resource: Messages, params: RunnerParams, options: CallOptions = {}) {
    const { tools, max_iterations, onStream, messages, ...rest } = params;
    this.#resource = resource;
    this.#options = options;
    this.#most = max_iterations ?? Number.POSITIVE_INFINITY;
    this.#onStream = onStream;
    this.#messages = [...messages];
    const own = tools.filter(isRunnable);
    this.#tools = new Map(own.map((one) => [one.definition.name, one]));
    this.params = {
      ...rest,
      messages: this.#messages,
      tools: tools.map((one) => (isRunnable(one) ? one.definition : one)),
    };
  }

  /** The conversation so far, with all messages and results. Further messages may be added. */
  get messages(): MessageParam[] {
    return this.#messages;
  }

  /** Run to the end and return the last message. */
  async done(): Promise<Message> {
    for await (const _ of this);
    if (!this.#last) throw new TypeError("max_iterations is 0: no message was created");
    return this.#last;
  }

  // biome-ignore lint/suspicious/noThenProperty: awaiting it runs it
  then<A = Message, B = never>(
    done?: ((message: Message) => A | PromiseLike<A>) | null,
    failed?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.done().then(done, failed);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Message> {
    while (this.#iterations < this.#most && (await this.#goesOn())) {
      this.#iterations++;
      this.#last = await this.#next();
      this.#messages.push({ role: "assistant", content: this.#last.content });
      yield this.#last;
    }
  }

  /** Answer the calls of the last message; return whether there is more to say. */
  async #goesOn(): Promise<boolean> {
    const last = this.#last;
    if (!last) return true;
    if (last.stop_reason === "pause_turn") return true;
    if (last.stop_reason !== "tool_use") return false;
    const calls = last.content.filter((block) => block.type === "tool_use");
    if (!calls.length || !calls.every(({ name }) => this.#tools.has(name))) return false;
    const content = await Promise.all(calls.map((call) => this.#run(call)));
    this.#messages.push({ role: "user", content });
    return true;
  }

  async #run(call: ToolUseBlock): Promise<ToolResultBlockParam> {
    const { signal } = this.#options;
    const context: ToolContext = { id: call.id, signal: signal ?? new AbortController().signal };
    const result = { type: "tool_result" as const, tool_use_id: call.id };
    try {
      const tool = this.#tools.get(call.name) as RunnableTool;
      return { ...result, content: await tool.run(call.input, context) };
    } catch (error) {
      // What ends the runner is for its caller.
      if (signal?.aborted) throw error;
      return { ...result, content: errorContent(error), is_error: true };
    }
  }

  async #next(): Promise<Message> {
    const params = { ...this.params, messages: [...this.#messages] };
    if (!this.#onStream) {
      return this.#resource.create({ ...params, stream: false }, this.#options);
    }
    const stream = this.#resource.stream(params, this.#options);
    await this.#onStream(stream);
    return stream.finalMessage();
  }
}

function isRunnable(tool: RunnableTool | ToolUnion): tool is RunnableTool {
  return isRecord(tool) && "definition" in tool;
}
