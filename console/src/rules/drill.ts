// The rows behind a number of a report: the finer groups of the same report, or its requests.

import type { CostSearch, UsageGroup, UsageSearch } from "./searches.ts";
import { startOf } from "./times.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const HOURS_AT_MOST = 48;

/** The time of a report, and the width of its buckets. */
export interface Span {
  start: string;
  end?: string;
  width: "1m" | "1h" | "1d";
  /** How many buckets a page has at most. */
  limit: number;
}

/** Return the time that the page Usage shows: its own span, or a range that ends now. */
export function spanOf(search: Pick<UsageSearch, "range" | "from" | "to">, now: number): Span {
  if (search.from && search.to) {
    const length = Date.parse(search.to) - Date.parse(search.from);
    const time = { start: search.from, end: search.to };
    if (length <= HOUR_MS) return { ...time, width: "1m", limit: 60 };
    if (length <= HOURS_AT_MOST * HOUR_MS) return { ...time, width: "1h", limit: HOURS_AT_MOST };
    return { ...time, width: "1d", limit: 31 };
  }
  const range = search.range ?? "7d";
  const start = startOf(range, now);
  return range === "1d" ? { start, width: "1h", limit: 24 } : { start, width: "1d", limit: 31 };
}

const FILTERS: Record<UsageGroup, "model" | "key" | "workspace"> = {
  model: "model",
  api_key_id: "key",
  workspace_id: "workspace",
};

/** Return the address of the page Usage that splits one group up; null if nothing is finer. */
export function finerUsage(search: UsageSearch, group: UsageGroup, value: string) {
  const filtered: UsageSearch = { ...search, [FILTERS[group]]: value };
  const groups = Object.keys(FILTERS) as UsageGroup[];
  const by = groups.find((each) => filtered[FILTERS[each]] === undefined);
  return by ? { ...filtered, by } : null;
}

/** Return the address of the page Usage for one bucket; null for a minute, the finest. */
export function finerTime(search: UsageSearch, from: string, to: string): UsageSearch | null {
  if (Date.parse(to) - Date.parse(from) < HOUR_MS) return null;
  const { range: _, ...rest } = search;
  return { ...rest, from, to };
}

/** Return the address of the page Cost that splits one group up; null if nothing is finer. */
export function finerCost(
  search: CostSearch,
  group: "model" | "workspace_id" | "token_type",
  value: string,
): CostSearch | null {
  const names = { model: "model", workspace_id: "workspace", token_type: "kind" } as const;
  const filtered: CostSearch = { ...search, [names[group]]: value };
  const groups = Object.keys(names) as (keyof typeof names)[];
  const by = groups.find((each) => filtered[names[each]] === undefined);
  return by ? { ...filtered, by } : null;
}

/** Return the end of a day of a report, which is named by its date in UTC. */
export function dayAfter(day: string): string {
  return new Date(Date.parse(`${day}T00:00:00Z`) + DAY_MS).toISOString().slice(0, 10);
}

export interface RequestFilter {
  workspace?: string | undefined;
  model?: string | undefined;
  key?: string | undefined;
  from?: string | undefined;
  to?: string | undefined;
}

/** Return the address of the requests that a number counts. */
export function requestsHref(filter: RequestFilter): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(filter)) if (value) params.set(name, value);
  return params.size ? `/console/requests?${params}` : "/console/requests";
}
