// The request that the Playground sends, from what is in its fields.

import type { Body } from "./snippets.ts";

export interface Turn {
  role: "user" | "assistant";
  // biome-ignore lint/suspicious/noExplicitAny: content as the API takes it
  content: string | any[];
}

export interface Fields {
  model: string;
  system: string;
  maxTokens: number;
  temperature: number | null;
  cached: boolean;
  /** JSON of a list of tools; empty for none. */
  tools: string;
  /** JSON of an object with further parameters; empty for none. */
  more: string;
}

/** What is wrong with a field of JSON; null if nothing is. */
export function jsonFault(text: string, kind: "list" | "object"): string | null {
  if (!text.trim()) return null;
  try {
    const value: unknown = JSON.parse(text);
    const fits = kind === "list" ? Array.isArray(value) : isObject(value);
    if (fits) return null;
    return kind === "list" ? "A list in brackets: [ … ]" : "An object in braces: { … }";
  } catch (error) {
    return error instanceof Error ? error.message : "This is no JSON";
  }
}

function isObject(value: unknown): value is Body {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Return the body of the request. Fields of JSON that have a fault are left out. */
export function bodyOf(fields: Fields, messages: readonly Turn[]): Body {
  const tools = jsonFault(fields.tools, "list") ? "" : fields.tools.trim();
  const more = jsonFault(fields.more, "object") ? "" : fields.more.trim();
  return {
    model: fields.model,
    max_tokens: fields.maxTokens,
    ...(fields.system.trim() ? { system: fields.system } : {}),
    ...(fields.temperature === null ? {} : { temperature: fields.temperature }),
    ...(fields.cached ? { cache_control: { type: "ephemeral" } } : {}),
    ...(tools ? { tools: JSON.parse(tools) as unknown } : {}),
    messages,
    ...(more ? (JSON.parse(more) as Body) : {}),
    stream: true,
  };
}

/** The parameters that counting the tokens of a prompt takes. */
const COUNTED = [
  "model",
  "messages",
  "system",
  "tools",
  "tool_choice",
  "thinking",
  "output_config",
  "cache_control",
];

/** Return the body that counts the tokens of a request's prompt. */
export function countBodyOf(body: Body): Body {
  return Object.fromEntries(Object.entries(body).filter(([name]) => COUNTED.includes(name)));
}

/** Return the turns that a request sends: without an answer at their end. */
export function askedOf(turns: readonly Turn[]): readonly Turn[] {
  return turns.slice(0, turns.findLastIndex((turn) => turn.role === "user") + 1);
}

/** Return the calls of tools in a turn, which wait for their results. */
export function callsOf(turn: Turn | undefined): { id: string; name: string; input: unknown }[] {
  if (turn?.role !== "assistant" || typeof turn.content === "string") return [];
  return turn.content.filter((block) => block.type === "tool_use");
}

export interface ModelChoice {
  group: string;
  items: { value: string; label: string }[];
}

/** Return what can be asked for: each model by its id, and the other names that models answer to. */
export function modelChoices(
  models: readonly { id: string; display_name: string }[],
  groups: readonly { models: string[] | null }[],
): ModelChoice[] {
  const ids = new Set(models.map(({ id }) => id));
  const others = new Set(groups.flatMap((group) => group.models ?? []));
  // A wildcard is no name, but a pattern of names.
  const aliases = [...others].filter((name) => !ids.has(name) && !name.includes("*")).sort();
  return [
    {
      group: "Models",
      items: models.map(({ id, display_name }) => ({ value: id, label: display_name })),
    },
    { group: "Other names", items: aliases.map((name) => ({ value: name, label: name })) },
  ].filter(({ items }) => items.length);
}
