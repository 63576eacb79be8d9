import assert from "node:assert/strict";
import { test } from "node:test";
import type { IncreaseRequest, LimitTarget, RateLimit } from "../src/api/types.ts";
import { amountOf, limitName, outcome } from "../src/rules/increases.ts";

const WHOLE = { type: "organization" } as const;
const GROUPS: RateLimit[] = [
  {
    type: "rate_limit",
    id: "rl_a",
    group: { type: "model_group", id: "a", display_name: "Model A" },
    models: ["a"],
    limits: [],
  },
];

test("a limit is named by what it limits", () => {
  const rate = (id: string, type: string): LimitTarget => ({
    type: "rate_limit",
    scope: WHOLE,
    rate_limit_id: id,
    limit_type: type,
  });
  const output = "output_tokens_per_minute";
  assert.equal(limitName(rate("rl_a", output), GROUPS), "Output tokens a minute, Model A");
  assert.equal(limitName(rate("rl_b", output), GROUPS), "Output tokens a minute, b");
  assert.equal(limitName(rate("rl_b", "later"), undefined), "later a minute, b");
  const spend: LimitTarget = { type: "spend_limit", scope: WHOLE, period: "weekly" };
  assert.equal(limitName(spend, GROUPS), "Spending a week");
});

test("amounts are numbers a minute or dollars", () => {
  assert.equal(amountOf(1234567), "1,234,567");
  assert.equal(amountOf("123456.5"), "$1,234.565");
  assert.equal(amountOf(null), "–");
});

test("the outcome names an amount that is not the requested one", () => {
  const of = (status: IncreaseRequest["status"], granted: number | string | null) =>
    outcome({ status, granted, requested: "5000" } as IncreaseRequest);
  assert.equal(of("open", null), "Open");
  assert.equal(of("granted", "5000"), "Granted");
  assert.equal(of("granted", "2000"), "Granted: $20.00");
  assert.equal(of("refused", null), "Refused");
});
