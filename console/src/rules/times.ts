const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const YEAR_DAYS = 365.25;
const MONTH_DAYS = YEAR_DAYS / 12;

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

/**
 * Return how long ago or ahead a time is: "3 hours ago", "tomorrow", "in 30 days". From a day on,
 * days are those of the calendar, in the zone of the browser; other units are rounded to the nearest.
 */
export function relativeTime(iso: string, now: number, locale = "en", zone?: string): string {
  const then = new Date(iso).getTime();
  const distance = then - now;
  if (Math.abs(distance) < MINUTE_MS) return distance < 0 ? "just now" : "in less than a minute";
  const format = new Intl.RelativeTimeFormat(locale);
  const minutes = Math.round(distance / MINUTE_MS);
  if (Math.abs(minutes) < 60) return format.format(minutes, "minute");
  const hours = Math.round(distance / HOUR_MS);
  if (Math.abs(hours) < 24) return format.format(hours, "hour");
  const days = dayOf(then, zone) - dayOf(now, zone);
  // Words only for days: a "next month" could be the end of this one.
  if (Math.abs(days) < 60) {
    return new Intl.RelativeTimeFormat(locale, { numeric: "auto" }).format(days, "day");
  }
  const months = Math.round(days / MONTH_DAYS);
  if (Math.abs(months) < 24) return format.format(months, "month");
  return format.format(Math.round(days / YEAR_DAYS), "year");
}

/** Return the number of the day that a moment is on, in the zone of the browser. */
function dayOf(moment: number, zone?: string): number {
  const parts = new Intl.DateTimeFormat("en", {
    year: "numeric",
    month: "numeric",
    day: "numeric",
    ...(zone ? { timeZone: zone } : {}),
  }).formatToParts(moment);
  const part = (type: "year" | "month" | "day") =>
    Number(parts.find((each) => each.type === type)?.value);
  return Date.UTC(part("year"), part("month") - 1, part("day")) / DAY_MS;
}

/** Return a time of the API as a field for local times has it, to the minute. */
export function localInput(iso: string): string {
  const at = new Date(iso);
  const local = new Date(at.getTime() - at.getTimezoneOffset() * MINUTE_MS);
  return local.toISOString().slice(0, 16);
}

/** Return the time of the API that a field for local times means; undefined for none. */
export function momentOf(typed: string): string | undefined {
  const at = new Date(typed);
  return typed && !Number.isNaN(at.getTime()) ? at.toISOString() : undefined;
}

/** The ranges that reports offer: the name in the address of the page, and the days. */
export const RANGES = { "1d": 1, "7d": 7, "30d": 30, "90d": 90 } as const;
export type Range = keyof typeof RANGES;

/** Return the first moment of a range of whole days in UTC that ends today. */
export function startOf(range: Range, now: number): string {
  const today = Math.floor(now / DAY_MS) * DAY_MS;
  return new Date(today - (RANGES[range] - 1) * DAY_MS).toISOString();
}
