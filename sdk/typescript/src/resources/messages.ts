// Messages: whole, as streams, as values of a schema, and in loops with tools.

import { Call } from "../call.ts";
import type { Antiphon, CallOptions, Operation } from "../client.ts";
import { Ending, type Reply } from "../exchange.ts";
import { type RunnerParams, ToolRunner } from "../runner.ts";
import { type Fitting, formatOf, type Schema, valueIn } from "../schema.ts";
import { MessageStream } from "../stream.ts";
import type {
  Message,
  MessageCountTokensParams,
  MessageCreateBody,
  MessageTokensCount,
} from "../wire.ts";
import { Batches } from "./batches.ts";

const PATH = "/v1/messages";
/**
 * Answers that may be longer are streamed to the SDK, which returns the whole.
 *
 * `fetch` of Node.js gives up an answer that has not begun after 5 minutes, and proxies do so
 * sooner. No answer is refused for its length.
 */
const STREAMED_ABOVE_TOKENS = 4096;

/** The parameters of a message. */
export interface MessageCreateParams extends MessageCreateBody {
  /** Features by their names, which become the header `anthropic-beta`. */
  betas?: readonly string[] | undefined;
}
export interface MessageCreateParamsNonStreaming extends MessageCreateParams {
  stream?: false | undefined;
}
export interface MessageCreateParamsStreaming extends MessageCreateParams {
  stream: true;
}
export type MessageStreamParams = Omit<MessageCreateParams, "stream">;

/** The parameters of a message whose text is a value of a schema. */
export interface MessageParseParams<S extends Schema> extends Omit<MessageCreateParams, "stream"> {
  /** JSON Schema, or the schema of a library (Zod 4, Valibot, ArkType …). */
  output_format: S;
}

/** A message, and the value that its text is. */
export type ParsedMessage<Value> = Message & {
  /** `null` if the model refused, or the message is not whole: see `stop_reason`. */
  parsed_output: Value | null;
};

/** `client.messages`. */
export class Messages {
  readonly batches: Batches;
  readonly #client: Antiphon;

  constructor(client: Antiphon) {
    this.#client = client;
    this.batches = new Batches(client);
  }

  /** Create a message; with `stream: true` the promise is that of its stream. */
  create(params: MessageCreateParamsNonStreaming, options?: CallOptions): Call<Message>;
  create(params: MessageCreateParamsStreaming, options?: CallOptions): Call<MessageStream>;
  create(params: MessageCreateParams, options?: CallOptions): Call<Message | MessageStream>;
  create(
    params: MessageCreateParams,
    options: CallOptions = {},
  ): Call<Message> | Call<MessageStream> {
    if (params.stream) return this.#streamed(params, options, (stream) => stream);
    if (params.max_tokens > STREAMED_ABOVE_TOKENS) {
      return this.#streamed(params, options, (stream) => stream.finalMessage());
    }
    return this.#client.request<Message>(operationOf(params), options);
  }

  /** Create a message and read it as it is made. */
  stream(params: MessageStreamParams, options: CallOptions = {}): MessageStream {
    return this.#open(params, options).stream;
  }

  /**
   * Create a message whose text is a value of a schema.
   *
   * Throws `SchemaError` if the text of a whole message does not fit the schema.
   */
  parse<S extends Schema>(
    params: MessageParseParams<S>,
    options?: CallOptions,
  ): Call<ParsedMessage<Fitting<S>>> {
    const { output_format: schema, output_config: config, ...rest } = params;
    if (config?.format)
      throw new TypeError("give `output_format` or `output_config.format`, not both");
    const body = { ...rest, output_config: { ...config, format: formatOf(schema) } };
    return new Call<ParsedMessage<Fitting<S>>>(async (isRaw) => {
      const call = this.create({ ...body, stream: false }, options);
      if (isRaw) return rawReply(await call.asResponse());
      const { data, ...reply } = await call.withResponse();
      const parsed_output = await valueIn(data, schema);
      return { ...reply, value: Object.assign(data, { parsed_output }) };
    });
  }

  /** Count the tokens of a prompt. */
  countTokens(params: MessageCountTokensParams, options?: CallOptions): Call<MessageTokensCount> {
    const path = `${PATH}/count_tokens`;
    return this.#client.request({ method: "POST", path, body: params }, options);
  }

  /** Create messages until the model calls no tool any more, and run the tools that it calls. */
  toolRunner(params: RunnerParams, options?: CallOptions): ToolRunner {
    return new ToolRunner(this, params, options);
  }

  #streamed<T>(
    params: MessageCreateParams,
    options: CallOptions,
    read: (stream: MessageStream) => T | Promise<T>,
  ): Call<T> {
    return new Call<T>(async (isRaw) => {
      const { opened, stream } = this.#open(params, options);
      const reply = await opened;
      return { ...reply, value: isRaw ? undefined : await read(stream) };
    });
  }

  #open(
    params: MessageStreamParams,
    options: CallOptions,
  ): { opened: Promise<Reply<Response>>; stream: MessageStream } {
    const client = this.#client;
    const operation = operationOf<Response>({ ...params, stream: true });
    const ending = new Ending(options.signal);
    const opened = client.open(operation, options, ending);
    const { clock, limiter } = client;
    const idleTimeout =
      options.idleTimeout === undefined ? client.idleTimeout : options.idleTimeout;
    return {
      opened,
      stream: new MessageStream(opened, { ending, clock, idleTimeout, limiter }),
    };
  }
}

function operationOf<T>({ betas, ...body }: MessageCreateParams): Operation<T> {
  const headers = betas?.length ? { "anthropic-beta": betas.join(",") } : undefined;
  return { method: "POST", path: PATH, body, headers };
}

function rawReply(response: Response): Reply<undefined> {
  return { value: undefined, response, requestId: response.headers.get("request-id"), retries: 0 };
}
