// One exchange with the API: send, perhaps wait, perhaps send again. Every rule of retries and of
// the time that a call may take stands here, once.
//
// `timeout` bounds the whole call with its retries and, of a stream, the time until it begins. A
// wait that would end behind it is not begun: the error comes at once.

import { type Clock, sleep } from "./clock.ts";
import {
  APIConnectionError,
  APIConnectionTimeoutError,
  APIError,
  APIUserAbortError,
  statusError,
} from "./errors.ts";
import type { Logger } from "./log.ts";
import { mayPass, pauseMs } from "./retries.ts";
import type { Usage } from "./wire.ts";

/** A server that asks for a longer wait is not waited for, whatever bounds the call has. */
const LONGEST_PAUSE_MS = 86_400_000;

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** One request. Its body is whole, so it can be sent again. */
export interface HttpRequest {
  method: string;
  url: string;
  headers: Record<string, string>;
  body: string | FormData | undefined;
  /** What the body says, of a body of JSON. */
  params: object | undefined;
}

/** Says when each attempt of each call is sent, and sees what comes of it: a `Limiter`. */
export interface Pacer {
  /**
   * Wait until an attempt may be sent. The wait is no part of the call's `timeout`.
   *
   * Throws the reason of the signal if that comes first.
   */
  turn(request: HttpRequest, clock: Clock, signal: AbortSignal): Promise<void>;
  /** Take the answer of an attempt, and what was read of it; neither, if none came. */
  answered(request: HttpRequest, response?: Response, value?: unknown): void;
  /** Take what a stream has used, at its end. */
  ended(response: Response, usage: Usage): void;
}

/** What holds for a call. Times are milliseconds, and `null` is no bound. */
export interface Conditions {
  fetch: Fetch;
  fetchOptions: RequestInit;
  timeout: number | null;
  maxRetries: number;
  clock: Clock;
  random: () => number;
  logger: Logger;
  pacer: Pacer | undefined;
}

/** A good answer, and what was read of it. */
export interface Reply<T> {
  value: T;
  response: Response;
  requestId: string | null;
  retries: number;
}

/** Ends a request from outside: the caller's signal, and the time of the call. */
export class Ending {
  readonly controller: AbortController = new AbortController();
  /** Why it was ended; `null` as long as it was not. */
  error: APIError | null = null;
  #forget: () => void = () => {};
  #cancel: (() => void) | undefined;

  constructor(signal: AbortSignal | undefined) {
    if (!signal) return;
    const aborted = (): void => this.end(userAbort(signal));
    if (signal.aborted) {
      aborted();
      return;
    }
    signal.addEventListener("abort", aborted, { once: true });
    this.#forget = () => signal.removeEventListener("abort", aborted);
  }

  /** Bound the time from now on, in place of an earlier bound. */
  bound(clock: Clock, ms: number | null, late: () => APIError): void {
    this.unbound();
    if (ms !== null) this.#cancel = clock.timer(ms, () => this.end(late()));
  }

  unbound(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  end(error: APIError): void {
    if (this.error) return;
    this.error = error;
    this.controller.abort(error);
    this.settle();
  }

  /** The answer is whole: nothing ends it any more. */
  settle(): void {
    this.unbound();
    this.#forget();
  }
}

/** Return the error of a call that its caller ended. */
export function userAbort(signal?: AbortSignal): APIUserAbortError {
  const options = signal?.reason === undefined ? undefined : { cause: signal.reason };
  return new APIUserAbortError("the call was aborted", null, options);
}

/**
 * Send a request until there is a good answer, and read it.
 *
 * An answer that breaks off while `read` reads it is repeated as well. Whoever calls it settles the
 * ending. Throws `APIError`.
 */
export async function exchange<T>(
  request: HttpRequest,
  conditions: Conditions,
  ending: Ending,
  read: (response: Response) => Promise<T> | T,
): Promise<Reply<T>> {
  const { clock, timeout, maxRetries, logger, pacer } = conditions;
  const told = `${request.method} ${pathIn(request.url)}`;
  let left = timeout ?? Number.POSITIVE_INFINITY;
  for (let retries = 0; ; retries++) {
    ending.unbound();
    await pacer?.turn(request, clock, ending.controller.signal);
    const deadline = clock.now() + left;
    ending.bound(clock, timeout && left, () => late(told, timeout));
    const outcome = await attempt(request, conditions, ending, retries, read);
    if ("value" in outcome) {
      logger.debug(`${told}: ${outcome.response.status} (${outcome.requestId})`);
      return outcome;
    }
    if (ending.error) throw ending.error;
    const { headers, again, fail } = outcome;
    if (!again || retries >= maxRetries) throw fail();
    const pause = pauseMs(headers, retries, clock.wall(), conditions.random());
    if (pause > LONGEST_PAUSE_MS) {
      throw fail(`. Not repeated: the server asks for a wait of ${pause / 1000} s`);
    }
    if (clock.now() + pause > deadline) {
      const seconds = `${pause / 1000} s ends after the ${(timeout ?? 0) / 1000} s`;
      throw fail(`. Not repeated: the wait of ${seconds} that the call may take (\`timeout\`)`);
    }
    logger.info(`${fail().message}. Again in ${Math.round(pause)} ms`);
    await sleep(clock, pause, ending.controller.signal);
    left = deadline - clock.now();
  }
}

/** An attempt that failed, and whether the next may pass. */
interface Failure {
  headers: Headers | null;
  again: boolean;
  fail: (note?: string) => APIError;
}

async function attempt<T>(
  request: HttpRequest,
  conditions: Conditions,
  ending: Ending,
  retries: number,
  read: (response: Response) => Promise<T> | T,
): Promise<Reply<T> | Failure> {
  const init: RequestInit = {
    redirect: "manual", // The key would go along. Workers at the edge do not know "error".
    ...conditions.fetchOptions,
    method: request.method,
    headers: retries
      ? { ...request.headers, "x-stainless-retry-count": String(retries) }
      : request.headers,
    signal: ending.controller.signal,
  };
  if (request.body !== undefined) init.body = request.body;
  const { pacer } = conditions;
  let response: Response;
  try {
    if (ending.error) throw ending.error;
    response = await conditions.fetch(request.url, init);
    refuseRedirect(request, response);
    if (response.status < 400) {
      const requestId = response.headers.get("request-id");
      const value = await read(response);
      pacer?.answered(request, response, value);
      return { value, response, requestId, retries };
    }
    const { status, headers } = response;
    const body = await response.text();
    pacer?.answered(request, response);
    const fail = (note?: string): APIError => statusError({ status, headers, body }, retries, note);
    return { headers, again: mayPass(status, headers), fail };
  } catch (error) {
    pacer?.answered(request);
    // What `read` found wrong with a whole answer does not get better.
    if (error instanceof APIError) throw error;
    const told = `${request.method} ${pathIn(request.url)}`;
    const fail = (note = ""): APIError => lost(told, error, retries, note);
    return { headers: null, again: true, fail };
  }
}

function refuseRedirect({ method, url }: HttpRequest, { type, status, headers }: Response): void {
  if (type !== "opaqueredirect" && !(status >= 300 && status < 400)) return;
  const to = headers.get("location");
  throw new APIConnectionError(
    `${method} ${pathIn(url)}: the server sends on${to ? ` to ${to}` : ""}; give that address as \`baseURL\``,
    headers.get("request-id"),
  );
}

/** Return the error of an answer that did not come, or broke off. */
export function lost(told: string, cause: unknown, retries: number, note = ""): APIError {
  const after = retries ? ` after ${retries + 1} attempts` : "";
  return new APIConnectionError(`${told}: ${reasonOf(cause)}${after}${note}`, null, { cause });
}

/** Return the innermost words: `fetch` wraps them, and its own say nothing. */
function reasonOf(error: unknown): string {
  let found = error;
  while (found instanceof Error && found.cause instanceof Error) found = found.cause;
  if (!(found instanceof Error)) return String(found);
  const { code } = found as { code?: unknown };
  return found.message || (typeof code === "string" ? code : found.name);
}

function late(told: string, timeout: number | null): APIError {
  return new APIConnectionTimeoutError(
    `${told}: no whole answer in ${(timeout ?? 0) / 1000} s (\`timeout\`)`,
  );
}

function pathIn(url: string): string {
  return new URL(url).pathname;
}
