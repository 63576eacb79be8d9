// Tools that the program runs: what the model is told of them, and what runs.

import { AntiphonError } from "./errors.ts";
import { type Fitting, fitted, jsonSchemaOf, type Schema } from "./schema.ts";
import type { CacheControlEphemeral, Tool, ToolResultContentParam } from "./wire.ts";

/** The result of a tool: a text, or blocks. Another value becomes JSON. */
export type ToolContent = string | ToolResultContentParam[];

/** Where a tool runs. */
export interface ToolContext {
  /** The id of the call. */
  id: string;
  /** Ends when the runner is ended. */
  signal: AbortSignal;
}

/** A tool of the program; made by `tool`. */
export interface RunnableTool {
  /** What the model is told. */
  readonly definition: Tool;
  /** Check an input and run the tool. What it throws becomes an error that the model sees. */
  run(input: unknown, context: ToolContext): Promise<ToolContent>;
}

/** A failure that the model is to see, in these words or blocks. */
export class ToolError extends AntiphonError {
  readonly content: ToolContent;

  constructor(content: ToolContent) {
    super(typeof content === "string" ? content : JSON.stringify(content));
    this.content = content;
  }
}

export interface ToolParams<S extends Schema> {
  name: string;
  description?: string | undefined;
  /** JSON Schema, or the schema of a library (Zod 4, Valibot, ArkType …), which checks inputs. */
  inputSchema: S;
  run: (input: Fitting<S>, context: ToolContext) => unknown;
  strict?: boolean | undefined;
  defer_loading?: boolean | undefined;
  eager_input_streaming?: boolean | undefined;
  input_examples?: Record<string, unknown>[] | undefined;
  cache_control?: CacheControlEphemeral | undefined;
}

/** Make a tool for `messages.toolRunner`. Its `definition` is for any other call. */
export function tool<S extends Schema>(params: ToolParams<S>): RunnableTool {
  const { name, inputSchema, run, ...rest } = params;
  return {
    definition: { name, input_schema: jsonSchemaOf(inputSchema), ...rest },
    async run(input, context) {
      return contentOf(await run(await fitted(inputSchema, input), context));
    },
  };
}

function contentOf(result: unknown): ToolContent {
  if (typeof result === "string") return result;
  if (isBlocks(result)) return result;
  return result === undefined ? "" : JSON.stringify(result);
}

function isBlocks(value: unknown): value is ToolResultContentParam[] {
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((one) => typeof one?.type === "string" && BLOCKS.has(one.type))
  );
}

/** What a result may hold. A list of other objects with a `type` is a value like any other. */
const BLOCKS: ReadonlySet<string> = new Set([
  "text",
  "image",
  "document",
  "search_result",
  "tool_reference",
]);

/** Return what the model sees of an error that a tool threw. */
export function errorContent(error: unknown): ToolContent {
  if (error instanceof ToolError) return error.content;
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
