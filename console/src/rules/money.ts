// Amounts of the API are US cents as decimal strings. They are added as whole nano-dollars: a
// floating-point number would lose some after a few thousand requests.

const NANO_PER_CENT_DIGITS = 7;

/** Return the nano-dollars of an amount in cents, such as "12.5". Throws for what is no amount. */
export function nanoDollars(cents: string): bigint {
  const found = /^(-?)(\d+)(?:\.(\d{1,7}))?$/.exec(cents);
  if (!found) throw new RangeError(`"${cents}" is no amount`);
  const [, sign, whole = "0", part = ""] = found;
  const size = BigInt(whole + part.padEnd(NANO_PER_CENT_DIGITS, "0"));
  return sign ? -size : size;
}

/** Return nano-dollars as dollars for reading: at least two decimals, and no more than they have. */
export function dollars(nano: bigint): string {
  const size = nano < 0n ? -nano : nano;
  const part = (size % 1_000_000_000n)
    .toString()
    .padStart(9, "0")
    .replace(/0{1,7}$/, "");
  const whole = (size / 1_000_000_000n).toString().replace(/\B(?=(\d{3})+$)/g, ",");
  return `${nano < 0n ? "-" : ""}$${whole}.${part}`;
}

/** Return dollars for the axis of a plot: three digits that matter, never an exponent. */
export function shortDollars(value: number): string {
  return `$${Number(value.toPrecision(3)).toLocaleString("en", { maximumFractionDigits: 9 })}`;
}

/** Return nano-dollars as a plain decimal number of dollars, for CSV. */
export function plainDollars(nano: bigint): string {
  return dollars(nano).replace("$", "").replaceAll(",", "");
}

/** Return an amount in cents as dollars for reading. */
export function dollarsOfCents(cents: string): string {
  return dollars(nanoDollars(cents));
}

/**
 * Return what a person typed as dollars in cents, as the API takes them: "12.50" is "1250".
 * Returns null for what is no amount above zero with at most nine decimals.
 */
export function centsOfDollars(typed: string): string | null {
  const found = /^\$?\s*(\d{1,9})(?:[.,](\d{1,9}))?$/.exec(typed.trim());
  if (!found) return null;
  const [, whole = "0", part = ""] = found;
  const nano = BigInt(whole + part.padEnd(9, "0"));
  if (nano === 0n) return null;
  const cents = nano / 10_000_000n;
  const rest = (nano % 10_000_000n).toString().padStart(7, "0").replace(/0+$/, "");
  return rest ? `${cents}.${rest}` : `${cents}`;
}
