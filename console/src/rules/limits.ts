import type { Balance, SpendScope } from "../api/types.ts";
import { nanoDollars } from "./money.ts";

/** The types of rate limits, in the order of their columns. */
export const LIMIT_TYPES = [
  { type: "requests_per_minute", name: "Requests" },
  { type: "input_tokens_per_minute_cache_aware", name: "Input tokens" },
  { type: "output_tokens_per_minute", name: "Output tokens" },
] as const;

/** Return whose limit it is, in words. */
export function scopeName(
  scope: SpendScope,
  workspaceName: (id: string) => string,
  keys: ReadonlyMap<string, string> | undefined,
): string {
  switch (scope.type) {
    case "organization":
      return "The organization";
    case "workspace":
      return `Workspace ${workspaceName(scope.workspace_id)}`;
    case "api_key":
      return `Key ${keys?.get(scope.api_key_id) ?? scope.api_key_id}`;
    case "usage_tier":
      return "The server’s own cap";
  }
}

/** Return the id of the key that a limit is of, if it is of a key. */
export function keyOf(scope: SpendScope): string[] {
  return scope.type === "api_key" ? [scope.api_key_id] : [];
}

/** Return whether a rate limit or a spend limit refused a request, by the API's words. */
export function isOfLimit(error: Error): boolean {
  return /^(This request would exceed your|You have reached (your|the)) /.test(error.message);
}

/** Return the part of a limit that is spent or held, from 0 to 1; null without a limit. */
export function usedPart({ spent, held, limit }: Pick<Balance, "spent" | "held" | "limit">) {
  if (limit === null) return null;
  const whole = nanoDollars(limit);
  const used = nanoDollars(spent) + nanoDollars(held);
  return whole === 0n ? 1 : Math.min(1, Number((used * 10_000n) / whole) / 10_000);
}
