// The price of a model.

/** Nano-dollars for one token of each counter: a thousandth of the dollars for a million. */
export interface Price {
  input: number;
  cacheWrite5m: number;
  cacheWrite1h: number;
  cacheRead: number;
  output: number;
  /** A prompt of more tokens, and its answer, are billed by `long`. */
  longAbove?: number | undefined;
  long?: Price | undefined;
}
