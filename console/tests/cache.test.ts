import assert from "node:assert/strict";
import { test } from "node:test";
import type { CacheResult, PromptCacheState, Report } from "../src/api/types.ts";
import {
  cacheShares,
  firstCachedRequest,
  hitPlot,
  hitRate,
  hitShare,
  losses,
  NOTHING_CACHED,
  sizeOf,
  snapshotRoom,
  tokenPlot,
} from "../src/rules/cache.ts";

function result(model: string, input: number, read: number, saved: string): CacheResult {
  return {
    requests: 4,
    cache_read_requests: read ? 3 : 0,
    uncached_input_tokens: input,
    cache_read_input_tokens: read,
    cache_creation: { ephemeral_5m_input_tokens: 10, ephemeral_1h_input_tokens: 20 },
    cache_read_share: null,
    saved: { amount: saved, currency: "USD" },
    workspace_id: null,
    model,
  };
}

const REPORT: Report<CacheResult> = {
  data: [
    {
      starting_at: "2026-11-22T00:00:00Z",
      ending_at: "2026-11-23T00:00:00Z",
      results: [result("small", 70, 0, "-0.0000003"), result("large", 40, 30, "0.0000001")],
    },
    { starting_at: "2026-11-23T00:00:00Z", ending_at: "2026-11-24T00:00:00Z", results: [] },
    {
      starting_at: "2026-11-24T00:00:00Z",
      ending_at: "2026-11-25T00:00:00Z",
      results: [result("large", 0, 70, "90000000000.0000001")],
    },
  ],
  has_more: false,
  next_page: null,
};

const STATE: PromptCacheState = {
  type: "prompt_cache",
  entries: 0,
  tokens: 0,
  snapshot_bytes: 1_250_000_000,
  less_cached_than_planned: { "engine-had-less": 1, strange: 1200 },
  models: [
    {
      id: "small",
      type: "prompt_cache_model",
      cached_by: "engine",
      minimum_tokens: 512,
      entries: 0,
      tokens: 0,
      snapshots: 0,
      snapshot_bytes: 0,
      snapshot_bytes_limit: 4_294_967_296,
      mismatches: 2,
    },
  ],
};

test("sums of a name are exact, and the one that uses the cache most is the first", () => {
  const [first, second] = cacheShares(REPORT, ({ model }) => model ?? "");
  assert.deepEqual(first, {
    name: "large",
    sum: {
      requests: 8,
      hits: 6,
      input: 40,
      read: 100,
      written: 60,
      saved: 900_000_000_000_000_002n,
    },
  });
  assert.equal(second?.sum.saved, -3n);
});

test("hit rate is the part of all tokens of prompts", () => {
  assert.equal(hitRate(NOTHING_CACHED), null);
  assert.equal(hitRate({ ...NOTHING_CACHED, input: 1, read: 2, written: 1 }), 0.5);
});

test("hit share is the part of the requests that read", () => {
  assert.equal(hitShare(NOTHING_CACHED), null);
  assert.equal(hitShare({ ...NOTHING_CACHED, requests: 8, hits: 2 }), 0.25);
});

test("a plot has a value for each bucket, and a gap where there were no requests", () => {
  const { times, lines } = hitPlot(REPORT);
  assert.equal(times.length, 3);
  assert.deepEqual(
    lines.map(({ values }) => values),
    [
      [37.5, null, 75],
      [15, null, 70],
    ],
  );
  assert.deepEqual(
    tokenPlot(REPORT).lines.map(({ values }) => values),
    [
      [30, 0, 70],
      [60, 0, 30],
    ],
  );
});

test("sizes have three digits or one decimal", () => {
  assert.deepEqual([0, 999, 1000, 58_720_256, 999_499_999, 999_500_000, 2 ** 50].map(sizeOf), [
    "0 B",
    "999 B",
    "1.0 kB",
    "58.7 MB",
    "999 MB",
    "1.0 GB",
    "1126 TB",
  ]);
});

test("snapshots tell their room", () => {
  assert.equal(snapshotRoom(STATE), "1.3 GB of 4.3 GB");
  assert.equal(snapshotRoom({ ...STATE, models: [], snapshot_bytes: 0 }), "None");
});

test("losses are told by their reason, and none where nothing was lost", () => {
  assert.deepEqual(losses(STATE), [
    "1 request cached less than planned: the engine had less in memory and on the disk than was written.",
    "1,200 requests cached less than planned: strange.",
    "2 requests of small found less in a slot of llama.cpp than was known.",
  ]);
  assert.deepEqual(losses({ ...STATE, less_cached_than_planned: null, models: [] }), []);
});

test("first request cannot be broken out of by a name", () => {
  const program = firstCachedRequest('http://x"', 'a"b', 512);
  assert.match(program, /base_url="http:\/\/x\\""/);
  assert.match(program, /model="a\\"b"/);
});
