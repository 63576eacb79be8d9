// Written by `make typescript-types` from the server's list of prices. Not to be changed by hand.

import type { Price } from "./price.ts";

/** Return the published prices, by the ids of models without their dates. */
export function listPrices(): Record<string, Price> {
  const fable52: Price = {
    input: 8000,
    cacheWrite5m: 10_000,
    cacheWrite1h: 16_000,
    cacheRead: 200,
    output: 40_000,
  };
  const fable51: Price = {
    input: 10_000,
    cacheWrite5m: 12_500,
    cacheWrite1h: 20_000,
    cacheRead: 250,
    output: 50_000,
  };
  const fable5: Price = {
    input: 10_000,
    cacheWrite5m: 12_500,
    cacheWrite1h: 20_000,
    cacheRead: 1000,
    output: 50_000,
  };
  const opus55: Price = {
    input: 4000,
    cacheWrite5m: 5000,
    cacheWrite1h: 8000,
    cacheRead: 200,
    output: 20_000,
  };
  const opus5: Price = {
    input: 5000,
    cacheWrite5m: 6250,
    cacheWrite1h: 10_000,
    cacheRead: 500,
    output: 25_000,
  };
  const opus41: Price = {
    input: 15_000,
    cacheWrite5m: 18_750,
    cacheWrite1h: 30_000,
    cacheRead: 1500,
    output: 75_000,
  };
  const sonnet55: Price = {
    input: 2000,
    cacheWrite5m: 2500,
    cacheWrite1h: 4000,
    cacheRead: 100,
    output: 10_000,
  };
  const sonnet5: Price = {
    input: 2000,
    cacheWrite5m: 2500,
    cacheWrite1h: 4000,
    cacheRead: 200,
    output: 10_000,
  };
  const sonnet46: Price = {
    input: 3000,
    cacheWrite5m: 3750,
    cacheWrite1h: 6000,
    cacheRead: 300,
    output: 15_000,
  };
  const haiku55: Price = {
    input: 100,
    cacheWrite5m: 125,
    cacheWrite1h: 200,
    cacheRead: 10,
    output: 500,
    longAbove: 100_000,
    long: {
      input: 500,
      cacheWrite5m: 625,
      cacheWrite1h: 1000,
      cacheRead: 50,
      output: 2500,
    },
  };
  const haiku45: Price = {
    input: 1000,
    cacheWrite5m: 1250,
    cacheWrite1h: 2000,
    cacheRead: 100,
    output: 5000,
  };
  const of35Haiku: Price = {
    input: 800,
    cacheWrite5m: 1000,
    cacheWrite1h: 1600,
    cacheRead: 80,
    output: 4000,
  };
  return {
    "claude-fable-5-2": fable52,
    "claude-mythos-5-2": fable52,
    "claude-fable-5-1": fable51,
    "claude-mythos-5-1": fable51,
    "claude-fable-5": fable5,
    "claude-mythos-5": fable5,
    "claude-opus-5-5": opus55,
    "claude-opus-5": opus5,
    "claude-opus-4-8": opus5,
    "claude-opus-4-7": opus5,
    "claude-opus-4-6": opus5,
    "claude-opus-4-5": opus5,
    "claude-opus-4-1": opus41,
    "claude-opus-4-0": opus41,
    "claude-opus-4": opus41,
    "claude-sonnet-5-5": sonnet55,
    "claude-sonnet-5": sonnet5,
    "claude-sonnet-4-6": sonnet46,
    "claude-sonnet-4-5": sonnet46,
    "claude-sonnet-4-0": sonnet46,
    "claude-sonnet-4": sonnet46,
    "claude-haiku-5-5": haiku55,
    "claude-haiku-4-5": haiku45,
    "claude-3-5-haiku": of35Haiku,
  };
}
