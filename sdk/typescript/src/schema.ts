// Schemas of answers and of the inputs of tools: JSON Schema, or any library's own.
//
// A library takes part by the interface "Standard Schema" (its values) and "Standard JSON Schema"
// (its JSON Schema), as Zod 4, Valibot and ArkType do. None of them is a dependency.

import { isRecord } from "./error_body.ts";
import { AntiphonError } from "./errors.ts";
import type { FormatParam, Message } from "./wire.ts";

export type JsonSchema = { readonly [keyword: string]: unknown };

/** A schema of a library. Types are those of the interface, as far as they are used here. */
export interface StandardSchema<Output = unknown> {
  readonly "~standard": {
    readonly version: number;
    readonly vendor: string;
    readonly validate: (value: unknown) => Checked<Output> | Promise<Checked<Output>>;
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined;
    readonly jsonSchema?: {
      readonly input: (options: { target: "draft-2020-12" }) => Record<string, unknown>;
    };
  };
}

type Checked<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly Issue[] };

interface Issue {
  readonly message: string;
  readonly path?: readonly unknown[] | undefined;
}

export type Schema = StandardSchema | JsonSchema;

/** What a value is that fits a schema; `unknown` for JSON Schema, which TypeScript cannot read. */
export type Fitting<S> = S extends StandardSchema<infer Output> ? Output : unknown;

/** A value does not fit its schema; the text says where and why. */
export class SchemaError extends AntiphonError {}

/** Return a schema as JSON Schema. Throws `TypeError` if its library cannot say it. */
export function jsonSchemaOf(schema: Schema): Record<string, unknown> {
  const standard = (schema as Partial<StandardSchema>)["~standard"];
  if (!standard) return schema as Record<string, unknown>;
  if (!standard.jsonSchema) {
    throw new TypeError(
      `this version of ${standard.vendor} does not say its JSON Schema; give that one instead`,
    );
  }
  const { $schema: _, ...told } = standard.jsonSchema.input({ target: "draft-2020-12" });
  return told;
}

/** Return a value in the library's own form. JSON Schema is not checked here: the server did it. */
export async function fitted<S extends Schema>(schema: S, value: unknown): Promise<Fitting<S>> {
  const standard = (schema as Partial<StandardSchema>)["~standard"];
  if (!standard) return value as Fitting<S>;
  const checked = await standard.validate(value);
  if (!checked.issues) return checked.value as Fitting<S>;
  const told = checked.issues.map(({ path = [], message }) => {
    const steps = path.map((step) => (isRecord(step) ? String(step.key) : String(step)));
    return steps.length ? `${steps.join(".")}: ${message}` : message;
  });
  throw new SchemaError(told.join("; "));
}

const FORMATS: readonly unknown[] =
  "date-time time date duration email hostname uri ipv4 ipv6 uuid".split(" ");
const KEPT: readonly string[] =
  "$ref $defs type enum const anyOf allOf items properties required default title".split(" ");

/**
 * Return a schema as the API takes it for structured outputs.
 *
 * Objects are closed. What the API does not enforce moves into the description, for the model.
 */
export function outputSchema(schema: unknown): unknown {
  if (!isRecord(schema)) return schema;
  const { oneOf, description, ...given } = schema;
  const told: Record<string, unknown> = {};
  const left: Record<string, unknown> = {};
  for (const [keyword, value] of Object.entries(oneOf ? { ...given, anyOf: oneOf } : given)) {
    const isEnforced =
      KEPT.includes(keyword) ||
      (keyword === "format" && FORMATS.includes(value)) ||
      (keyword === "minItems" && (value === 0 || value === 1));
    if (isEnforced) told[keyword] = inner(keyword, value);
    else if (keyword !== "additionalProperties") left[keyword] = value;
  }
  if (schema.type === "object" || "properties" in schema) told.additionalProperties = false;
  const words = [description, Object.keys(left).length ? JSON.stringify(left) : undefined];
  const text = words.filter((one) => typeof one === "string" && one).join("\n\n");
  return text ? { ...told, description: text } : told;
}

function inner(keyword: string, value: unknown): unknown {
  if (keyword === "properties" || keyword === "$defs") {
    if (!isRecord(value)) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, one]) => [name, outputSchema(one)]),
    );
  }
  if (keyword === "anyOf" || keyword === "allOf") {
    return Array.isArray(value) ? value.map(outputSchema) : value;
  }
  return keyword === "items" ? outputSchema(value) : value;
}

/** Return what `output_config.format` is of a schema: every call takes it, those of batches as well. */
export function formatOf(schema: Schema): FormatParam {
  return {
    type: "json_schema",
    schema: outputSchema(jsonSchemaOf(schema)) as Record<string, unknown>,
  };
}

/**
 * Return the value that the text of a message is.
 *
 * `null` if the model refused, or the message is not whole: see `stop_reason`. Throws `SchemaError`.
 */
export async function valueIn<S extends Schema>(
  message: Message,
  schema: S,
): Promise<Fitting<S> | null> {
  if (message.stop_reason !== "end_turn" && message.stop_reason !== "stop_sequence") return null;
  let value: unknown;
  try {
    value = JSON.parse(textOf(message));
  } catch {
    throw new SchemaError("the text of the message is no JSON");
  }
  return fitted(schema, value);
}

/** Return the texts of a message, joined. */
export function textOf({ content }: Pick<Message, "content">): string {
  return content.map((block) => (block.type === "text" ? block.text : "")).join("");
}
