import assert from "node:assert/strict";
import { test } from "node:test";
import type { ActivityReport, ActivityResult } from "../src/api/types.ts";
import {
  COST,
  errorsOf,
  errorTypes,
  FIRST_TOKEN,
  firstBucket,
  isHourly,
  linesOf,
  OVERVIEW_RANGES,
  percent,
  REQUESTS,
  SPANS,
  TOKENS,
  tokensOf,
  unitOf,
} from "../src/rules/activity.ts";
import { shortDollars } from "../src/rules/money.ts";

const RESULT: ActivityResult = {
  requests: 7,
  refused: 2,
  errors: { api_error: 1, rate_limit_error: 2, timeout_error: 1 },
  uncached_input_tokens: 1,
  cache_creation_input_tokens: 20,
  cache_read_input_tokens: 300,
  output_tokens: 4000,
  cache_read_share: 0.5,
  cost: { amount: "12.5", currency: "USD" },
  saved: null,
  first_token: { mean_ms: 10, p50_ms: 12, p95_ms: 24 },
};

function report(...results: ActivityResult[][]): ActivityReport {
  const data = results.map((each, minute) => ({
    starting_at: `2026-11-01T00:0${minute}:00Z`,
    ending_at: `2026-11-01T00:0${minute + 1}:00Z`,
    results: each,
  }));
  return { data, has_more: false, next_page: null, total: RESULT };
}

test("a range has its buckets to the one that runs now, on their borders", () => {
  const now = Date.parse("2026-11-23T12:34:56.789Z");
  assert.deepEqual(
    OVERVIEW_RANGES.map((range) => firstBucket(range, now)),
    [
      "2026-11-23T11:35:00.000Z",
      "2026-11-22T13:00:00.000Z",
      "2026-11-16T13:00:00.000Z",
      "2026-10-25T00:00:00.000Z",
    ],
  );
  for (const range of OVERVIEW_RANGES) {
    const { widthMs, buckets } = SPANS[range];
    const last = Date.parse(firstBucket(range, now)) + (buckets - 1) * widthMs;
    assert.ok(last <= now && now < last + widthMs);
  }
});

test("tokens and errors add up, and errors are told by type", () => {
  assert.equal(tokensOf(RESULT), 4321);
  assert.equal(errorsOf(RESULT), 4);
  assert.deepEqual(errorTypes(RESULT), [
    ["rate_limit_error", 2],
    ["api_error", 1],
    ["timeout_error", 1],
  ]);
});

test("a bucket without requests has no requests, and no time to a first token", () => {
  const found = report([RESULT], [], [{ ...RESULT, first_token: null }]);
  assert.deepEqual(
    linesOf(found, REQUESTS).lines.map(({ values }) => values),
    [
      [7, 0, 7],
      [4, 0, 4],
    ],
  );
  assert.deepEqual(
    linesOf(found, FIRST_TOKEN).lines.map(({ values }) => values),
    [
      [12, null, null],
      [24, null, null],
    ],
  );
  assert.deepEqual(linesOf(found, COST).lines[0]?.values, [0.125, 0, 0.125]);
  assert.deepEqual(
    linesOf(report([RESULT]), TOKENS).lines.map(({ values }) => values[0]),
    [21, 300, 4000],
  );
  assert.deepEqual(
    linesOf(found, COST).times.map((time, _, all) => time - (all[0] ?? 0)),
    [0, 60, 120],
  );
});

test("a part is told to a tenth of a percent, and never as none or all of what it is not", () => {
  assert.deepEqual([0, 0.00001, 0.013, 0.5, 0.99999, 1].map(percent), [
    "0 %",
    "< 0.1 %",
    "1.3 %",
    "50 %",
    "> 99.9 %",
    "100 %",
  ]);
});

test("dollars below a plot have three digits that matter, and no exponent", () => {
  assert.deepEqual([0, 0.00000123, 12.345, 1234.5].map(shortDollars), [
    "$0",
    "$0.00000123",
    "$12.3",
    "$1,230",
  ]);
});

test("a bucket has a name, and a plot within a day has times instead of dates", () => {
  assert.deepEqual(OVERVIEW_RANGES.map(unitOf), ["minute", "hour", "hour", "day"]);
  assert.deepEqual(OVERVIEW_RANGES.map(isHourly), [true, true, false, false]);
});
