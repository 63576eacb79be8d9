const DAY_MS = 86_400_000;

/** Return a time of the API for reading, in the zone and the language of the browser. */
export function localTime(iso: string, locale?: string, zone?: string): string {
  return new Intl.DateTimeFormat(locale, {
    dateStyle: "medium",
    timeStyle: "short",
    ...(zone ? { timeZone: zone } : {}),
  }).format(new Date(iso));
}

/** Return a time of the API in UTC, to the second. */
export function utcTime(iso: string): string {
  return `${new Date(iso).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

const STEPS: readonly [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 365 * DAY_MS],
  ["month", 30 * DAY_MS],
  ["day", DAY_MS],
  ["hour", 3_600_000],
  ["minute", 60_000],
];

/** Return how long ago or ahead a time is: "3 hours ago", "in 2 days". */
export function relativeTime(iso: string, now: number, locale = "en"): string {
  const distance = new Date(iso).getTime() - now;
  const format = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  for (const [unit, size] of STEPS) {
    if (Math.abs(distance) >= size) return format.format(Math.trunc(distance / size), unit);
  }
  return distance < 0 ? "just now" : "in less than a minute";
}

/** The ranges that reports offer: the name in the address of the page, and the days. */
export const RANGES = { "1d": 1, "7d": 7, "30d": 30, "90d": 90 } as const;
export type Range = keyof typeof RANGES;

/** Return the first moment of a range of whole days in UTC that ends today. */
export function startOf(range: Range, now: number): string {
  const today = Math.floor(now / DAY_MS) * DAY_MS;
  return new Date(today - (RANGES[range] - 1) * DAY_MS).toISOString();
}
