// What the address of a page says of its filters. A value that is unknown is left out: an address
// may come from anywhere.

import { RANGES, type Range } from "./times.ts";

type Search = Record<string, unknown>;

function oneOf<const Name extends string>(
  names: readonly Name[],
  value: unknown,
): Name | undefined {
  return names.find((name) => name === value);
}

/** An id of the API. */
function id(value: unknown): string | undefined {
  return typeof value === "string" && /^\w{1,64}$/.test(value) ? value : undefined;
}

/** Return an object without what is undefined, so that addresses stay short. */
function present<Values extends object>(
  values: Values,
): {
  [Name in keyof Values]?: Exclude<Values[Name], undefined>;
} {
  const found = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(found) as ReturnType<typeof present<Values>>;
}

export const KEY_STATUSES = ["active", "inactive", "expired", "archived"] as const;

export function keysSearch(search: Search) {
  return present({
    status: oneOf(KEY_STATUSES, search.status),
    workspace: id(search.workspace),
    after: id(search.after),
    before: id(search.before),
  });
}

export const USAGE_GROUPS = ["model", "api_key_id", "workspace_id"] as const;
export type UsageGroup = (typeof USAGE_GROUPS)[number];

export function usageSearch(search: Search) {
  return present({
    range: oneOf(Object.keys(RANGES) as Range[], search.range),
    by: oneOf(USAGE_GROUPS, search.by),
    workspace: id(search.workspace),
  });
}

export const COST_GROUPS = ["model", "workspace_id", "token_type"] as const;
export type CostGroup = (typeof COST_GROUPS)[number];

export function costSearch(search: Search) {
  return present({
    range: oneOf(Object.keys(RANGES) as Range[], search.range),
    by: oneOf(COST_GROUPS, search.by),
  });
}

export function batchesSearch(search: Search) {
  return present({
    workspace: id(search.workspace),
    after: id(search.after),
    before: id(search.before),
  });
}

/** Where a paged listing goes on. */
export function auditSearch(search: Search) {
  const page = search.page;
  return present({
    object: id(search.object),
    page: typeof page === "string" && page.length < 512 ? page : undefined,
  });
}
