import type { IncreaseRequest, LimitTarget, RateLimit } from "../api/types.ts";
import { groupName } from "./groups.ts";
import { LIMIT_TYPES } from "./limits.ts";
import { dollarsOfCents } from "./money.ts";
import { WHOLE } from "./numbers.ts";

const PERIOD_WORDS = { daily: "day", weekly: "week", monthly: "month" } as const;

/** Return what a limit limits, in words: "Requests a minute, Scripted". */
export function limitName(limit: LimitTarget, groups: readonly RateLimit[] | undefined): string {
  if (limit.type === "spend_limit") return `Spending a ${PERIOD_WORDS[limit.period]}`;
  const type = LIMIT_TYPES.find((each) => each.type === limit.limit_type);
  const group = groups?.find((each) => each.id === limit.rate_limit_id)?.group;
  const of = group ? groupName(group) : limit.rate_limit_id.replace(/^rl_/, "");
  return `${type?.name ?? limit.limit_type} a minute, ${of}`;
}

/** Return an amount of a limit for reading; "–" where there is none. */
export function amountOf(amount: number | string | null): string {
  if (amount === null) return "–";
  return typeof amount === "number" ? WHOLE.format(amount) : dollarsOfCents(amount);
}

/** Return what became of a request, in a word or two. */
export function outcome({ status, granted, requested }: IncreaseRequest): string {
  if (status === "granted") {
    return granted === requested ? "Granted" : `Granted: ${amountOf(granted)}`;
  }
  return status.charAt(0).toUpperCase() + status.slice(1);
}
