// What the prompt cache did, as sums to read and a line to draw.

import type { CacheResult, PromptCacheState, Report } from "../api/types.ts";
import { nanoDollars } from "./money.ts";
import { WHOLE } from "./numbers.ts";
import type { Plot, Share } from "./reports.ts";
import { sums } from "./reports.ts";

/** Requests and tokens of prompts, and what caching them saved in nano-dollars. */
export interface Cached {
  requests: number;
  /** The requests that read from the cache. */
  hits: number;
  input: number;
  read: number;
  written: number;
  saved: bigint;
}

export const NOTHING_CACHED: Cached = {
  requests: 0,
  hits: 0,
  input: 0,
  read: 0,
  written: 0,
  saved: 0n,
};

export function cachedOf(result: CacheResult): Cached {
  const written = result.cache_creation;
  return {
    requests: result.requests,
    hits: result.cache_read_requests,
    input: result.uncached_input_tokens,
    read: result.cache_read_input_tokens,
    written: written.ephemeral_5m_input_tokens + written.ephemeral_1h_input_tokens,
    saved: nanoDollars(result.saved.amount),
  };
}

export function addedCached(one: Cached, other: Cached): Cached {
  return {
    requests: one.requests + other.requests,
    hits: one.hits + other.hits,
    input: one.input + other.input,
    read: one.read + other.read,
    written: one.written + other.written,
    saved: one.saved + other.saved,
  };
}

/** The part of the requests that read from the cache, from 0 to 1; null without any. */
export function hitShare({ requests, hits }: Cached): number | null {
  return requests ? hits / requests : null;
}

/** The part of the prompts' tokens that was read from the cache, from 0 to 1; null without any. */
export function hitRate({ input, read, written }: Cached): number | null {
  const prompts = input + read + written;
  return prompts ? read / prompts : null;
}

/** Return the sums by name, the one with most reads and writes first. */
export function cacheShares(
  report: Report<CacheResult>,
  nameOf: (result: CacheResult) => string,
): Share<Cached>[] {
  const used = ({ read, written }: Cached) => read + written;
  return [...sums(report, nameOf, cachedOf, addedCached, NOTHING_CACHED)]
    .map(([name, sum]) => ({ name, sum }))
    .sort((one, other) => used(other.sum) - used(one.sum) || other.sum.input - one.sum.input);
}

/** Return lines over the buckets of a report, each of a value of the whole bucket. */
function linesOf(
  report: Report<CacheResult>,
  lines: readonly (readonly [string, (sum: Cached) => number | null])[],
): Plot {
  const buckets = report.data.map(({ results }) =>
    results.map(cachedOf).reduce(addedCached, NOTHING_CACHED),
  );
  return {
    times: report.data.map((bucket) => Date.parse(bucket.starting_at) / 1000),
    lines: lines.map(([name, value]) => ({ name, values: buckets.map(value) })),
  };
}

const percentOf = (part: number | null) => (part === null ? null : 100 * part);

/** Return which part was read in each bucket in percent; nothing for one without requests. */
export function hitPlot(report: Report<CacheResult>): Plot {
  return linesOf(report, [
    ["Of the requests", (sum) => percentOf(hitShare(sum))],
    ["Of the prompts' tokens", (sum) => percentOf(hitRate(sum))],
  ]);
}

/** Return how many tokens were read and written in each bucket. */
export function tokenPlot(report: Report<CacheResult>): Plot {
  return linesOf(report, [
    ["Read", ({ read }) => read],
    ["Written", ({ written }) => written],
  ]);
}

const UNITS = ["B", "kB", "MB", "GB", "TB"] as const;

/** Return a size for reading: "58.7 MB". A kilobyte has 1,000 bytes. */
export function sizeOf(bytes: number): string {
  let size = bytes;
  let unit = 0;
  while (size >= 999.5 && unit < UNITS.length - 1) {
    size /= 1000;
    unit += 1;
  }
  const digits = unit && size < 99.95 ? 1 : 0;
  return `${size.toFixed(digits)} ${UNITS[unit]}`;
}

/** Return what snapshots take and may take: "1.2 GB of 4.3 GB"; "none" where nothing is saved. */
export function snapshotRoom({ snapshot_bytes, models }: PromptCacheState): string {
  const limits = models.flatMap(({ snapshot_bytes_limit: limit }) => limit ?? []);
  if (!limits.length) return snapshot_bytes ? sizeOf(snapshot_bytes) : "None";
  return `${sizeOf(snapshot_bytes)} of ${sizeOf(limits.reduce((one, other) => one + other))}`;
}

const REASONS: Record<string, string> = {
  "engine-had-less": "the engine had less in memory and on the disk than was written",
  "engine-kept-less": "the engine had no room to keep what was read",
};

/** Return in sentences what went wrong since the start of the server; empty if nothing did. */
export function losses(state: PromptCacheState): string[] {
  const found = Object.entries(state.less_cached_than_planned ?? {}).map(
    ([reason, times]) =>
      `${requests(times)} cached less than planned: ${REASONS[reason] ?? reason}.`,
  );
  const mismatches = state.models
    .filter(({ mismatches }) => mismatches)
    .map(
      ({ id, mismatches }) =>
        `${requests(mismatches ?? 0)} of ${id} found less in a slot of llama.cpp than was known.`,
    );
  return [...found, ...mismatches];
}

function requests(count: number): string {
  return count === 1 ? "1 request" : `${WHOLE.format(count)} requests`;
}

/** The smallest program that writes the cache and then reads it. */
export function firstCachedRequest(baseUrl: string, model: string, minimum: number): string {
  return `import anthropic

# The key is read from ANTHROPIC_API_KEY.
client = anthropic.Anthropic(base_url=${JSON.stringify(baseUrl)})
rules = open("rules.txt").read()  # ${WHOLE.format(minimum)} tokens or more

for question in ("May I keep a cat?", "May I keep two?"):
    message = client.messages.create(
        model=${JSON.stringify(model)},
        max_tokens=256,
        system=[{
            "type": "text",
            "text": rules,
            # Everything up to here stays the same.
            "cache_control": {"type": "ephemeral"},
        }],
        messages=[{"role": "user", "content": question}],
    )
    print(message.usage.cache_read_input_tokens)
`;
}
