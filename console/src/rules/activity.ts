// What the Overview shows: numbers of a range, and lines of its buckets.

import type { ActivityReport, ActivityResult, Money } from "../api/types.ts";
import { nanoDollars } from "./money.ts";
import type { Plot } from "./reports.ts";

export const OVERVIEW_RANGES = ["1h", "24h", "7d", "30d"] as const;
export type OverviewRange = (typeof OVERVIEW_RANGES)[number];

interface Span {
  label: string;
  /** The width of a bucket, as the API names it. */
  width: "1m" | "1h" | "1d";
  widthMs: number;
  buckets: number;
  /** How often it is asked for again, in milliseconds. */
  everyMs: number;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const SPANS: Record<OverviewRange, Span> = {
  "1h": { label: "Live", width: "1m", widthMs: MINUTE, buckets: 60, everyMs: 5_000 },
  "24h": { label: "24 hours", width: "1h", widthMs: HOUR, buckets: 24, everyMs: 30_000 },
  "7d": { label: "7 days", width: "1h", widthMs: HOUR, buckets: 168, everyMs: 60_000 },
  "30d": { label: "30 days", width: "1d", widthMs: DAY, buckets: 30, everyMs: 60_000 },
};

/** Return what a bucket of a range is called. */
export function unitOf(range: OverviewRange): "minute" | "hour" | "day" {
  return ({ "1m": "minute", "1h": "hour", "1d": "day" } as const)[SPANS[range].width];
}

/** Return whether a range is within a day, so that its plot has times instead of dates. */
export function isHourly(range: OverviewRange): boolean {
  const { widthMs, buckets } = SPANS[range];
  return widthMs * buckets <= DAY;
}

/** Return the begin of the first bucket of a range, of which the last one runs now. */
export function firstBucket(range: OverviewRange, now: number): string {
  const { widthMs, buckets } = SPANS[range];
  const last = Math.floor(now / widthMs) * widthMs;
  return new Date(last - (buckets - 1) * widthMs).toISOString();
}

/** Return all tokens of a result: read, written to and from the cache, and produced. */
export function tokensOf(result: ActivityResult): number {
  return (
    result.uncached_input_tokens +
    result.cache_creation_input_tokens +
    result.cache_read_input_tokens +
    result.output_tokens
  );
}

/** Return how many requests of a result ended with an error. */
export function errorsOf(result: ActivityResult): number {
  return Object.values(result.errors).reduce((sum, each) => sum + each, 0);
}

/** Return the types of errors with their numbers, the most frequent first. */
export function errorTypes(result: ActivityResult): [string, number][] {
  return Object.entries(result.errors).sort(([a, one], [b, other]) =>
    one === other ? a.localeCompare(b) : other - one,
  );
}

/** Return a part of a whole, such as "1.3 %"; a small part is never told as none. */
export function percent(part: number): string {
  if (part > 0 && part < 0.001) return "< 0.1 %";
  if (part < 1 && part > 0.999) return "> 99.9 %";
  return `${(part * 100).toFixed(1).replace(/\.0$/, "")} %`;
}

/** A line of a plot: its value in a bucket, and in one in which nothing happened. */
interface Line {
  name: string;
  value: (result: ActivityResult) => number | null;
  empty: number | null;
}

function amount(name: string, value: (result: ActivityResult) => number): Line {
  return { name, value, empty: 0 };
}

/** A time or a share: without requests there is none. */
function measure(name: string, value: (result: ActivityResult) => number | null): Line {
  return { name, value, empty: null };
}

export const REQUESTS = [
  amount("Requests", (result) => result.requests),
  amount("Errors", errorsOf),
];
export const COST = [amount("Spent", (result) => dollarsOf(result.cost))];
export const TOKENS = [
  amount("Input", (result) => result.uncached_input_tokens + result.cache_creation_input_tokens),
  amount("Read from the cache", (result) => result.cache_read_input_tokens),
  amount("Output", (result) => result.output_tokens),
];
export const FIRST_TOKEN = [
  measure("Half of the requests", (result) => result.first_token?.p50_ms ?? null),
  measure("95 % of the requests", (result) => result.first_token?.p95_ms ?? null),
];

function dollarsOf(cost: Money | null): number {
  return cost ? Number(nanoDollars(cost.amount)) / 1e9 : 0;
}

/** Return lines of a report that has at most one result in a bucket. */
export function linesOf(report: ActivityReport, lines: readonly Line[]): Plot {
  return {
    times: report.data.map((bucket) => Date.parse(bucket.starting_at) / 1000),
    lines: lines.map(({ name, value, empty }) => ({
      name,
      values: report.data.map(({ results: [result] }) => (result ? value(result) : empty)),
    })),
  };
}
