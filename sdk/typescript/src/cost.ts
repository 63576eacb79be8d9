// `antiphon/cost`: what an answer costs, from its usage. Amounts are whole nano-dollars.
//
// Each counter is rounded up by itself, as the server's ledger does it. The published prices of Claude
// models stand in `prices.ts`; a server may charge its own, which a program then has to say.

import { AntiphonError } from "./errors.ts";
import type { Price } from "./price.ts";
import { listPrices } from "./prices.ts";
import type { Message, Usage } from "./wire.ts";

export type { Price } from "./price.ts";

/** Nano-dollars for one search of the web: 10 dollars for 1,000. */
const SEARCH = 10_000_000;
const NANO = 1_000_000_000;
/** The end of `claude-opus-4-5-20251101` and `claude-3-5-haiku-latest`: it changes no price. */
const EDITION = /-(?:20[0-9]{6}|latest)$/;

/** Dollars for a million tokens. */
export interface Dollars {
  input: number | string;
  output: number | string;
  /** What is not said of the cache is 1.25, 2 and 0.1 times the input. */
  cacheWrite5m?: number | string | undefined;
  cacheWrite1h?: number | string | undefined;
  cacheRead?: number | string | undefined;
}

/** What was paid for each kind of token, in nano-dollars: exact up to nine million dollars. */
export interface Cost {
  input: number;
  cacheWrite: number;
  cacheRead: number;
  output: number;
  webSearch: number;
  total: number;
  /** The total in dollars, for people: `total` is exact. */
  usd: number;
}

/** No price is known for a model: give one with `prices`. */
export class UnknownPriceError extends AntiphonError {}

/**
 * Return a price, of dollars for a million tokens.
 *
 * Throws `TypeError` for a number that is none, or finer than a thousandth of a dollar.
 */
export function price(dollars: Dollars): Price {
  const input = nanoDollars("input", dollars.input);
  const rate = (name: "cacheWrite5m" | "cacheWrite1h" | "cacheRead", share: number): number => {
    const said = dollars[name];
    return said === undefined ? whole(name, (input * share) / 100) : nanoDollars(name, said);
  };
  return {
    input,
    cacheWrite5m: rate("cacheWrite5m", 125),
    cacheWrite1h: rate("cacheWrite1h", 200),
    cacheRead: rate("cacheRead", 10),
    output: nanoDollars("output", dollars.output),
  };
}

/**
 * Return what a message costs: by `prices`, of model ids, and else by the published ones.
 *
 * Requests of batches cost half, those in the US a tenth more, those at high speed twice as much, as
 * far as the usage says so. Throws `UnknownPriceError`.
 */
export function costOf(
  message: Pick<Message, "model" | "usage">,
  prices: Readonly<Record<string, Price>> = {},
): Cost {
  const { model, usage } = message;
  const found = own(prices, model) ?? listPrice(model);
  if (found) return costOfUsage(usage, found);
  const name = JSON.stringify(model);
  throw new UnknownPriceError(
    `no price of ${name} is known; give one: { ${name}: price({ input: "3", output: "15" }) }`,
  );
}

/** Return the published price of a model, with or without its date; `undefined` for other names. */
export function listPrice(model: string): Price | undefined {
  const prices = listPrices();
  return own(prices, model) ?? own(prices, model.replace(EDITION, ""));
}

/** Return what a usage costs at a price. */
export function costOfUsage(usage: Usage, price: Price): Cost {
  const read = usage.cache_read_input_tokens ?? 0;
  const written = usage.cache_creation;
  const written5m = written?.ephemeral_5m_input_tokens ?? usage.cache_creation_input_tokens ?? 0;
  const written1h = written?.ephemeral_1h_input_tokens ?? 0;
  const { input, output } = { input: usage.input_tokens ?? 0, output: usage.output_tokens ?? 0 };
  const prompt = input + written5m + written1h + read;
  const card = price.long && prompt > (price.longAbove ?? 0) ? price.long : price;
  const [share, of] = shareOf(usage);
  // A product may be larger than a number is exact.
  const charge = (tokens: number, rate: number): number =>
    Number((BigInt(tokens) * BigInt(rate) * share + of - 1n) / of);
  const parts = {
    input: charge(input, card.input),
    cacheWrite: charge(written5m, card.cacheWrite5m) + charge(written1h, card.cacheWrite1h),
    cacheRead: charge(read, card.cacheRead),
    output: charge(output, card.output),
    // Half a price holds for tokens alone.
    webSearch: (usage.server_tool_use?.web_search_requests ?? 0) * SEARCH,
  };
  return summed(parts);
}

/** Return the sum of costs. */
export function addCosts(costs: Iterable<Cost>): Cost {
  const sum = { input: 0, cacheWrite: 0, cacheRead: 0, output: 0, webSearch: 0 };
  for (const cost of costs) {
    for (const name of Object.keys(sum) as Array<keyof typeof sum>) sum[name] += cost[name];
  }
  return summed(sum);
}

function summed(parts: Omit<Cost, "total" | "usd">): Cost {
  const total = Object.values(parts).reduce((sum, part) => sum + part, 0);
  return { ...parts, total, usd: total / NANO };
}

/** Return the share of the price that a usage costs: numerator and denominator. */
function shareOf(usage: Usage): [bigint, bigint] {
  const { service_tier, inference_geo, speed } = usage as Partial<Record<string, unknown>> & Usage;
  let [share, of] = [1n, 1n];
  if (service_tier === "batch") of *= 2n;
  if (inference_geo === "us") [share, of] = [share * 11n, of * 10n];
  if (speed === "fast") share *= 2n;
  return [share, of];
}

function own(prices: Readonly<Record<string, Price>>, model: string): Price | undefined {
  return Object.hasOwn(prices, model) ? prices[model] : undefined;
}

function nanoDollars(name: string, dollars: number | string): number {
  const value = typeof dollars === "number" || dollars.trim() ? Number(dollars) : Number.NaN;
  if (!(value >= 0 && value <= 10_000)) {
    throw new TypeError(`\`${name}\` is ${dollars}; it is 0 to 10000 dollars for a million tokens`);
  }
  return whole(name, value * 1000);
}

function whole(name: string, nano: number): number {
  const rounded = Math.round(nano);
  // What is written with three digits is not always what a number of base 2 is.
  if (Math.abs(nano - rounded) < 1e-6) return rounded;
  throw new TypeError(`\`${name}\` is finer than a thousandth of a dollar for a million tokens`);
}
