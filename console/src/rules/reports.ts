// What the reports of the Admin API say, as rows to read, sums and lines to draw.

import type { CostResult, Report, UsageResult } from "../api/types.ts";
import { nanoDollars } from "./money.ts";

/** Tokens of a row, by how they are priced. */
export interface Tokens {
  input: number;
  cacheReads: number;
  cacheWrites: number;
  output: number;
}

export const NO_TOKENS: Tokens = { input: 0, cacheReads: 0, cacheWrites: 0, output: 0 };

export function tokensOf(result: UsageResult): Tokens {
  const written = result.cache_creation;
  return {
    input: result.uncached_input_tokens,
    cacheReads: result.cache_read_input_tokens,
    cacheWrites: written.ephemeral_5m_input_tokens + written.ephemeral_1h_input_tokens,
    output: result.output_tokens,
  };
}

export function added(one: Tokens, other: Tokens): Tokens {
  return {
    input: one.input + other.input,
    cacheReads: one.cacheReads + other.cacheReads,
    cacheWrites: one.cacheWrites + other.cacheWrites,
    output: one.output + other.output,
  };
}

export function totalOf(tokens: Tokens): number {
  return tokens.input + tokens.cacheReads + tokens.cacheWrites + tokens.output;
}

/** The part of the prompts' tokens that the cache had, from 0 to 1; null without prompts. */
export function cacheHitRate(tokens: Tokens): number | null {
  const prompts = tokens.input + tokens.cacheReads + tokens.cacheWrites;
  return prompts ? tokens.cacheReads / prompts : null;
}

/** A sum for each name, largest first. */
export interface Share<Sum> {
  name: string;
  sum: Sum;
}

/** Return the sums of all buckets by the name that `nameOf` gives a result. */
export function sums<Result, Sum>(
  report: Report<Result>,
  nameOf: (result: Result) => string,
  amountOf: (result: Result) => Sum,
  add: (one: Sum, other: Sum) => Sum,
  zero: Sum,
): Map<string, Sum> {
  const found = new Map<string, Sum>();
  for (const bucket of report.data) {
    for (const result of bucket.results) {
      const name = nameOf(result);
      found.set(name, add(found.get(name) ?? zero, amountOf(result)));
    }
  }
  return found;
}

/** Return the tokens by name, the largest first. */
export function usageShares(
  report: Report<UsageResult>,
  nameOf: (result: UsageResult) => string,
): Share<Tokens>[] {
  return [...sums(report, nameOf, tokensOf, added, NO_TOKENS)]
    .map(([name, sum]) => ({ name, sum }))
    .sort((one, other) => totalOf(other.sum) - totalOf(one.sum));
}

/** Return the cost by name in nano-dollars, the largest first. */
export function costShares(
  report: Report<CostResult>,
  nameOf: (result: CostResult) => string,
): Share<bigint>[] {
  const amount = (result: CostResult) => nanoDollars(result.amount);
  return [...sums(report, nameOf, amount, (one, other) => one + other, 0n)]
    .map(([name, sum]) => ({ name, sum }))
    .sort((one, other) => (other.sum > one.sum ? 1 : other.sum < one.sum ? -1 : 0));
}

/**
 * What a plot draws: a moment in seconds for each bucket, and a line for each name, with a gap where
 * there is no value.
 */
export interface Plot<Value = number | null> {
  times: number[];
  lines: { name: string; values: Value[] }[];
}

/** Return one value of each bucket for each of the largest names; all others are one line. */
export function plotOf<Result>(
  report: Report<Result>,
  nameOf: (result: Result) => string,
  amountOf: (result: Result) => number,
  most = 6,
): Plot<number> {
  const totals = [...sums(report, nameOf, amountOf, (one, other) => one + other, 0)];
  const names = totals.sort(([, one], [, other]) => other - one).map(([name]) => name);
  const own = new Set(names.length > most ? names.slice(0, most - 1) : names);
  const drawn = [...own, ...(own.size < names.length ? [OTHERS] : [])];
  const lines = drawn.map((name) => ({ name, values: report.data.map(() => 0) }));
  const byName = new Map(lines.map((line) => [line.name, line.values]));
  report.data.forEach((bucket, index) => {
    for (const result of bucket.results) {
      const name = nameOf(result);
      const values = byName.get(own.has(name) ? name : OTHERS);
      if (values) values[index] = (values[index] ?? 0) + amountOf(result);
    }
  });
  return { times: report.data.map((bucket) => Date.parse(bucket.starting_at) / 1000), lines };
}

/** Return the places of values without a neighbour: no line leads to them, so they are points. */
export function alone(values: readonly (number | null)[]): number[] {
  const there = (index: number) => values[index] !== null && values[index] !== undefined;
  return values.flatMap((_, index) =>
    there(index) && !there(index - 1) && !there(index + 1) ? [index] : [],
  );
}

export const OTHERS = "all others";
