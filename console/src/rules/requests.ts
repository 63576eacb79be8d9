// A finished request in words: how it ended, where its time went, and why.

import type {
  LoggedRequest,
  RefusedBy,
  RequestExplanation,
  RequestLatency,
  RequestUsage,
} from "../api/types.ts";
import { dollarsOfCents } from "./money.ts";
import { WHOLE } from "./numbers.ts";

const HUNG_UP = 499;

/** Return a duration for reading: "12 ms", "1.24 s", "2 min 5 s". */
export function duration(ms: number | null): string {
  if (ms === null) return "–";
  if (ms > 0 && ms < 1) return "< 1 ms";
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${Number((ms / 1000).toPrecision(3))} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

/** The types of errors that the request log can be filtered by. */
export const ERROR_TYPES = [
  "invalid_request_error",
  "authentication_error",
  "permission_error",
  "not_found_error",
  "request_too_large",
  "rate_limit_error",
  "api_error",
  "timeout_error",
  "overloaded_error",
] as const;

/** Return the type of an error in words: "rate_limit_error" is "Rate limit". */
export function errorName(type: string): string {
  const words = type.replace(/_error$/, "").replaceAll("_", " ");
  return words === "api" ? "Server error" : words.charAt(0).toUpperCase() + words.slice(1);
}

export interface Outcome {
  label: string;
  color: "green" | "yellow" | "red" | "gray";
}

/** Return how a request ended. An answer that broke off after its beginning has the status 200. */
export function outcomeOf(request: Pick<LoggedRequest, "status" | "error_type">): Outcome {
  const { status, error_type: type } = request;
  if (status === HUNG_UP) return { label: "Hung up", color: "gray" };
  if (type === null) return { label: "OK", color: "green" };
  const broken = status >= 500 || status < 400;
  return { label: errorName(type), color: broken ? "red" : "yellow" };
}

/**
 * Return who sent a request without a key: a user of the Console, or the command line, which alone
 * creates batches without one. The server refuses all others, and does not know who they are.
 */
export function callerWithoutKey({
  account_id: user,
  batch_id: batch,
}: Pick<LoggedRequest, "account_id" | "batch_id">): string {
  if (user !== null) return "Console";
  return batch === null ? "Unknown" : "Command line";
}

/** Return all tokens of the prompt. */
export function promptTokens(usage: RequestUsage): number {
  const written = usage.cache_creation;
  return (
    usage.input_tokens +
    usage.cache_read_input_tokens +
    written.ephemeral_5m_input_tokens +
    written.ephemeral_1h_input_tokens
  );
}

const EARLY_MS = 10_000;

/** Return whether the log may still get a request that only the ledger has. */
export function isEarly(
  request: Pick<RequestExplanation, "recorded" | "ended_at">,
  now: number,
): boolean {
  return !request.recorded && Math.abs(now - Date.parse(request.ended_at)) < EARLY_MS;
}

export interface Phase {
  name: string;
  ms: number;
  color: string;
}

/** Return where the time of a request went, in its order, without what took none. */
export function phasesOf({ latency }: Pick<LoggedRequest, "latency">): Phase[] {
  const known: Phase[] = [
    { name: "Waiting for a place", ms: latency.queue_ms ?? 0, color: "yellow" },
    { name: "Waiting for money", ms: latency.money_ms ?? 0, color: "orange" },
    { name: "Making way for interactive requests", ms: latency.parked_ms ?? 0, color: "grape" },
    { name: "Reading the prompt", ms: latency.prefill_ms ?? 0, color: "indigo" },
    { name: "Writing the answer", ms: latency.decode_ms ?? 0, color: "teal" },
  ];
  const sum = known.reduce((all, phase) => all + phase.ms, 0);
  const rest = { name: "Everything else", ms: Math.max(0, latency.total_ms - sum), color: "gray" };
  return [...known, rest].filter(({ ms }) => ms > 0);
}

/**
 * Return for how long a request waited: for a place, for money, or as it made way for others; null
 * for one that did not come to it.
 */
export function waitOf(latency: RequestLatency): number | null {
  const waits = [latency.queue_ms, latency.money_ms, latency.parked_ms];
  const known = waits.filter((wait) => wait !== null);
  return known.length ? known.reduce((sum, wait) => sum + wait, 0) : null;
}

/** Return the id of a request in what somebody pasted, such as a whole error message. */
export function requestIdIn(text: string): string | null {
  const found = /\b(?:req|workerreq)_\w{1,64}/.exec(text);
  if (found) return found[0];
  const plain = text.trim();
  return /^\w{1,80}$/.test(plain) ? plain : null;
}

/** Return whether the request log has calls of a path: those of keys, not of administration. */
export function isLogged(path: string): boolean {
  return /^\/v1\/(messages|models)\b/.test(path);
}

const RATES: Record<string, string> = {
  requests_per_minute: "requests a minute",
  input_tokens_per_minute_cache_aware: "input tokens a minute",
  output_tokens_per_minute: "output tokens a minute",
};

/** Return the name of a rate limit's amount: "input tokens a minute". */
export function rateName(type: string): string {
  return RATES[type] ?? type.replaceAll("_", " ");
}

/** Return the ids of the keys whose limits a request met. */
export function keysOf(by: RefusedBy | null): string[] {
  if (by === null) return [];
  return [by, ...by.buckets].flatMap(({ scope, scope_id: id }) =>
    scope === "key" && id !== null ? [id] : [],
  );
}

/** Return whose limit it is: "the key laptop". */
export function ownerName(
  scope: string,
  id: string,
  names: {
    organization: string;
    workspace: (id: string) => string;
    keys: ReadonlyMap<string, string>;
  },
): string {
  switch (scope) {
    case "organization":
      return names.organization;
    case "workspace":
      return `the workspace ${names.workspace(id)}`;
    case "key":
      return `the key ${names.keys.get(id) ?? id}`;
    default:
      return `${scope} ${id}`;
  }
}

/** Return what refused a request, as a sentence; `nameOf` names what a limit is of. */
export function refusal(by: RefusedBy, nameOf: (scope: string, id: string) => string): string {
  const of = by.scope ? ` of ${nameOf(by.scope, by.scope_id ?? "")}` : "";
  switch (by.kind) {
    case "rate_limit": {
      const again =
        by.retry_after_ms === null
          ? ""
          : `, and would have passed ${duration(by.retry_after_ms)} later`;
      return `The rate limit of ${WHOLE.format(Number(by.limit))} ${rateName(by.type ?? "")}${of} was used up${again}.`;
    }
    case "spend_limit": {
      const amount = by.limit === null ? "" : ` of ${dollarsOfCents(String(by.limit))}`;
      const limit = `the ${by.type ?? ""} spend limit${amount}${of}`.replace("  ", " ");
      return by.held
        ? `What was left of ${limit} was held for requests that were running, and none of them ended in time.`
        : `${limit.charAt(0).toUpperCase()}${limit.slice(1)} does not cover what the request could have cost.`;
    }
    case "queue":
      return `The queue was full: ${WHOLE.format(Number(by.limit))} requests were waiting for the model.`;
  }
}

/** What each error means for whoever sent the request. */
const MEANINGS: Record<string, string> = {
  invalid_request_error:
    "The request could not be done as it was; its error message names the field.",
  authentication_error: "There was no key, or an unknown one, or one that has ended.",
  permission_error: "The caller is known, and may not do this.",
  not_found_error: "There is no such model or path.",
  request_too_large: "The body was larger than this server takes.",
  rate_limit_error: "A rate limit refused it.",
  api_error: "The engine broke while it worked on it. The log of the server has the reason.",
  timeout_error: "The engine took too long.",
  overloaded_error: "There was no room for it. The same request may pass later.",
};

/** Return in a sentence how a request ended, and why. */
export function summary(
  request: RequestExplanation,
  nameOf: (scope: string, id: string) => string,
): string {
  const { status, error_type: type, refused_by: by, latency, usage } = request;
  const took = duration(latency.total_ms);
  if (by) return refusal(by, nameOf);
  if (status === HUNG_UP) return `The caller hung up after ${took}, before the answer had begun.`;
  if (type) {
    const late = status < 400 ? " The answer had begun, and broke off." : "";
    return `${MEANINGS[type] ?? `It ended with ${type}.`}${late}`;
  }
  if (request.served_model === null) return `Answered after ${took}.`;
  return `Answered in ${took} with ${WHOLE.format(usage.output_tokens)} tokens.`;
}

const REASONS: Record<string, string> = {
  "no-entry": "No entry began like this prompt: it is the first one, or the last one has expired.",
  "below-minimum": "The prompt is shorter than what is worth an entry.",
  "engine-had-less": "The engine had kept less than the entries promised.",
  "thoughts-taken-back": "The model's template shows thoughts only until the next question.",
  "engine-kept-less": "The engine kept less of this prompt than it was to keep.",
};

/** Return why a request read no more from the prompt cache. */
export function cacheReason(reason: string): string {
  return REASONS[reason] ?? `${reason.replaceAll("-", " ")}.`;
}

const TOKEN_TYPES: Record<string, string> = {
  uncached_input_tokens: "Input",
  "cache_creation.ephemeral_5m_input_tokens": "Into the cache, for 5 minutes",
  "cache_creation.ephemeral_1h_input_tokens": "Into the cache, for an hour",
  cache_read_input_tokens: "Read from the cache",
  output_tokens: "Output",
  web_search_requests: "Searches of the web",
};

/** Return what a line of a bill is for. */
export function tokenTypeName(type: string): string {
  return TOKEN_TYPES[type] ?? type.replaceAll("_", " ");
}
