// What the address of a page says of its filters. A value that is unknown is left out: an address
// may come from anywhere.

import { OVERVIEW_RANGES } from "./activity.ts";
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

/** The token of a page. */
function token(value: unknown): string | undefined {
  return typeof value === "string" && value.length < 512 ? value : undefined;
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

export function overviewSearch(search: Search) {
  return present({ range: oneOf(OVERVIEW_RANGES, search.range) });
}

export const STATUS_CLASSES = ["2xx", "4xx", "5xx"] as const;
const MOST_OF_A_NAME = 256;

/** A name of a model, or the type of an error: they are the caller's, and only compared. */
function name(value: unknown): string | undefined {
  return typeof value === "string" && value && value.length <= MOST_OF_A_NAME ? value : undefined;
}

/** A moment in UTC, as the API writes it. */
function moment(value: unknown): string | undefined {
  const isMoment = typeof value === "string" && /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(value);
  return isMoment && !Number.isNaN(Date.parse(value)) ? value : undefined;
}

/** The filters of the request log, and where its listing goes on. */
export function requestsSearch(search: Search) {
  return present({
    status: oneOf(STATUS_CLASSES, search.status),
    error: name(search.error),
    key: id(search.key),
    model: name(search.model),
    workspace: id(search.workspace),
    from: moment(search.from),
    to: moment(search.to),
    page: token(search.page),
  });
}
export type RequestsSearch = ReturnType<typeof requestsSearch>;

export const CACHE_GROUPS = ["model", "workspace_id"] as const;
export type CacheGroup = (typeof CACHE_GROUPS)[number];

export function cacheSearch(search: Search) {
  return present({
    range: oneOf(Object.keys(RANGES) as Range[], search.range),
    by: oneOf(CACHE_GROUPS, search.by),
    workspace: id(search.workspace),
    page: token(search.page),
  });
}

export function batchesSearch(search: Search) {
  return present({
    workspace: id(search.workspace),
    after: id(search.after),
    before: id(search.before),
  });
}

export function settingsSearch(search: Search) {
  const words = search.words;
  return present({
    words: typeof words === "string" && words.length < 80 ? words : undefined,
    set: search.set === true ? true : undefined,
  });
}

/** Where a paged listing goes on. */
export function auditSearch(search: Search) {
  return present({ object: id(search.object), page: token(search.page) });
}
