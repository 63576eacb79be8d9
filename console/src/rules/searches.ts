// What the address of a page says of its filters. A value that is unknown is left out: an address
// may come from anywhere.

import { OVERVIEW_RANGES } from "./activity.ts";
import { orderIn } from "./sorting.ts";
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

/** A place in a listing that is walked by tokens. */
function token(value: unknown): string | undefined {
  return typeof value === "string" && value.length < 512 ? value : undefined;
}

/** A text that is searched for, or the name of a model. */
function words(value: unknown): string | undefined {
  // The router reads a text of digits as a number.
  const said = typeof value === "number" ? String(value) : value;
  return typeof said === "string" && said !== "" && said.length <= 256 ? said : undefined;
}

/** A moment in UTC. */
function moment(value: unknown): string | undefined {
  const said = words(value);
  return said && /^\d{4}-\d{2}-\d{2}T[\d:.]+Z$/.test(said) && !Number.isNaN(Date.parse(said))
    ? said
    : undefined;
}

/** A day of the calendar. */
function day(value: unknown): string | undefined {
  const said = words(value);
  return said && /^\d{4}-\d{2}-\d{2}$/.test(said) && !Number.isNaN(Date.parse(said))
    ? said
    : undefined;
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

/**
 * Return what a route does with the address: what `rule` knows, and all else as undefined. The
 * router hands a page whatever an address has, and lays over it what the route returns.
 */
export function known<Found extends object>(rule: (search: Search) => Found) {
  return (search: Search): Found => ({
    ...Object.fromEntries(Object.keys(search).map((name) => [name, undefined])),
    ...rule(search),
  });
}

export const KEY_STATUSES = ["active", "inactive", "expired", "archived"] as const;

export const KEY_ORDERS = ["created_at", "name", "last_used_at", "expires_at"] as const;
export const WORKSPACE_ORDERS = ["created_at", "name"] as const;
export const USER_ORDERS = ["added_at", "name", "email"] as const;
export const BATCH_STATUSES = ["in_progress", "canceling", "ended"] as const;
export const ROLE_NAMES = [
  "user",
  "developer",
  "billing",
  "claude_code_user",
  "managed",
  "admin",
] as const;

/** What the address of every list says: a part of a name, an order, a place. */
function listed(search: Search, orders: readonly string[]) {
  return {
    q: words(search.q),
    sort: orderIn(orders, search.sort),
    after: id(search.after),
    before: id(search.before),
  };
}

export function keysSearch(search: Search) {
  return present({
    ...listed(search, KEY_ORDERS),
    status: oneOf(KEY_STATUSES, search.status),
    workspace: id(search.workspace),
    creator: id(search.creator),
  });
}

export function workspacesSearch(search: Search) {
  return present({
    ...listed(search, WORKSPACE_ORDERS),
    archived: search.archived === true ? true : undefined,
  });
}

export function workspaceSearch(search: Search) {
  return present(listed(search, ["added_at"]));
}

export function membersSearch(search: Search) {
  return present({ ...listed(search, USER_ORDERS), role: oneOf(ROLE_NAMES, search.role) });
}

export const USAGE_GROUPS = ["model", "api_key_id", "workspace_id"] as const;
export type UsageGroup = (typeof USAGE_GROUPS)[number];

export function usageSearch(search: Search) {
  return present({
    range: oneOf(Object.keys(RANGES) as Range[], search.range),
    by: oneOf(USAGE_GROUPS, search.by),
    workspace: id(search.workspace),
    model: words(search.model),
    key: id(search.key),
    from: moment(search.from),
    to: moment(search.to),
  });
}
export type UsageSearch = ReturnType<typeof usageSearch>;

export const COST_GROUPS = ["model", "workspace_id", "token_type"] as const;
export type CostGroup = (typeof COST_GROUPS)[number];

export function costSearch(search: Search) {
  return present({
    range: oneOf(Object.keys(RANGES) as Range[], search.range),
    by: oneOf(COST_GROUPS, search.by),
    workspace: id(search.workspace),
    model: words(search.model),
    kind: words(search.kind),
    day: day(search.day),
  });
}
export type CostSearch = ReturnType<typeof costSearch>;

export function overviewSearch(search: Search) {
  return present({ range: oneOf(OVERVIEW_RANGES, search.range) });
}

export const STATUS_CLASSES = ["2xx", "4xx", "5xx"] as const;

/** The filters of the request log, and where its listing goes on. */
export function requestsSearch(search: Search) {
  return present({
    status: oneOf(STATUS_CLASSES, search.status),
    error: id(search.error),
    key: id(search.key),
    model: words(search.model),
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
    range: oneOf(OVERVIEW_RANGES, search.range),
    by: oneOf(CACHE_GROUPS, search.by),
    workspace: id(search.workspace),
    page: token(search.page),
  });
}

export function batchesSearch(search: Search) {
  return present({
    workspace: id(search.workspace),
    status: oneOf(BATCH_STATUSES, search.status),
    sort: orderIn(["created_at"], search.sort),
    after: id(search.after),
    before: id(search.before),
  });
}

export function filesSearch(search: Search) {
  return present({ workspace: id(search.workspace), page: token(search.page) });
}

export function settingsSearch(search: Search) {
  return present({
    words: words(search.words),
    set: search.set === true ? true : undefined,
  });
}

export function auditSearch(search: Search) {
  return present({
    object: id(search.object),
    actor: id(search.actor),
    action:
      typeof search.action === "string" && /^[a-z_.]{1,64}$/.test(search.action)
        ? search.action
        : undefined,
    from: day(search.from),
    to: day(search.to),
    sort: orderIn(["at"], search.sort),
    page: token(search.page),
  });
}

export const LIMIT_SCOPES = ["organization", "workspace", "api_key"] as const;

export function limitsSearch(search: Search) {
  return present({
    scope: oneOf(LIMIT_SCOPES, search.scope),
    key: id(search.key),
    page: token(search.page),
  });
}
