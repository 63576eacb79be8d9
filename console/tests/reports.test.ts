import assert from "node:assert/strict";
import { test } from "node:test";
import type { UsageResult } from "../src/api/types.ts";
import {
  alone,
  cacheHitRate,
  costShares,
  OTHERS,
  plotOf,
  tokensOf,
  totalOf,
  usageShares,
} from "../src/rules/reports.ts";

function used(model: string, input: number, reads = 0): UsageResult {
  return {
    uncached_input_tokens: input,
    cache_read_input_tokens: reads,
    cache_creation: { ephemeral_5m_input_tokens: 1, ephemeral_1h_input_tokens: 2 },
    output_tokens: 4,
    api_key_id: null,
    workspace_id: null,
    model,
  };
}

function report<Result>(...days: Result[][]) {
  const data = days.map((results, day) => ({
    starting_at: `2026-11-0${day + 1}T00:00:00Z`,
    ending_at: `2026-11-0${day + 2}T00:00:00Z`,
    results,
  }));
  return { data, has_more: false, next_page: null };
}

test("tokens add up by name, the largest first", () => {
  const shares = usageShares(
    report([used("a", 1), used("b", 5)], [], [used("a", 2)]),
    ({ model }) => model ?? "",
  );
  assert.deepEqual(shares, [
    { name: "a", sum: { input: 3, cacheReads: 0, cacheWrites: 6, output: 8 } },
    { name: "b", sum: { input: 5, cacheReads: 0, cacheWrites: 3, output: 4 } },
  ]);
});

test("costs add up to the nano-dollar", () => {
  const cost = (amount: string) => ({
    amount,
    workspace_id: null,
    description: null,
    model: "a",
    cost_type: null,
    token_type: null,
  });
  const days = report([cost("0.0000001"), cost("12.5")], [cost("0.0000002")]);
  assert.deepEqual(
    costShares(days, () => "a"),
    [{ name: "a", sum: 125_000_003n }],
  );
});

test("a plot has a value for each bucket, and its lines add up to the report", () => {
  const names = "abcdefgh";
  const days = report(
    [...names].map((name, index) => used(name, index * 10)),
    [],
    [used("h", 5)],
  );
  const plot = plotOf(
    days,
    ({ model }) => model ?? "",
    (result) => totalOf(tokensOf(result)),
    4,
  );
  assert.deepEqual(
    plot.lines.map((line) => line.name),
    ["h", "g", "f", OTHERS],
  );
  assert.ok(plot.lines.every((line) => line.values.length === 3));
  const drawn = plot.lines
    .flatMap((line) => line.values)
    .reduce((one, other) => (one ?? 0) + (other ?? 0), 0);
  const reported = days.data
    .flatMap((day) => day.results)
    .reduce((sum, result) => sum + totalOf(tokensOf(result)), 0);
  assert.equal(drawn, reported);
});

test("a value between two gaps is a point, and one with a neighbour is not", () => {
  assert.deepEqual(alone([1, null, 2, 3, null, null, 4]), [0, 6]);
  assert.deepEqual(alone([0]), [0]);
  assert.deepEqual(alone([1, 2]), []);
  assert.deepEqual(alone([null]), []);
});

test("the cache's part is of all tokens of the prompts", () => {
  assert.equal(cacheHitRate(tokensOf(used("a", 3, 6))), 0.5);
  assert.equal(cacheHitRate({ input: 0, cacheReads: 0, cacheWrites: 0, output: 9 }), null);
});
