// What is sent again, and when. Rules of values alone.

const RETRIED: readonly number[] = [408, 409, 429];
const RETRIED_FROM = 500;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8000;
const JITTER = 0.25;

/** Return whether the same call may succeed next time. The server's own word comes first. */
export function mayPass(status: number, headers: Headers): boolean {
  const said = headers.get("x-should-retry");
  if (said === "true" || said === "false") return said === "true";
  return RETRIED.includes(status) || status >= RETRIED_FROM;
}

/**
 * Return the milliseconds to wait before a call is repeated, after so many retries.
 *
 * What the server says counts, if it is positive. Else the wait doubles from 0.5 to 8 seconds, up
 * to a quarter of it left to chance, so that callers do not come back together.
 */
export function pauseMs(
  headers: Headers | null,
  retries: number,
  wallMs: number,
  draw: number,
): number {
  const said = headers && retryAfterMs(headers, wallMs);
  if (said !== null && said > 0) return said;
  const longest = Math.min(FIRST_PAUSE_MS * 2 ** Math.min(retries, 10), LONGEST_PAUSE_MS);
  return longest * (1 - JITTER * draw);
}

/** Return what `retry-after-ms` or `retry-after` says: a number, or a date of HTTP. */
export function retryAfterMs(headers: Headers, wallMs: number): number | null {
  const milliseconds = number(headers.get("retry-after-ms"));
  if (milliseconds !== null) return milliseconds;
  const text = headers.get("retry-after");
  const seconds = number(text);
  if (seconds !== null) return seconds * 1000;
  const date = text === null ? Number.NaN : Date.parse(text);
  return Number.isNaN(date) ? null : date - wallMs;
}

function number(text: string | null): number | null {
  if (!text?.trim()) return null;
  const value = Number(text);
  return Number.isFinite(value) ? value : null;
}
