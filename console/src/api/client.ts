// How the Console asks the API. The session's cookie goes with each request by itself.
//
// Its queries, the fields of its errors and its pauses are those of the SDK. The client of the SDK is
// for pages that are not the first (`sdk.ts`): it would weigh on the first load of all.

import { errorIn } from "../../../sdk/typescript/src/error_body.ts";
import { withQuery } from "../../../sdk/typescript/src/query.ts";
import { retryAfterMs } from "../../../sdk/typescript/src/retries.ts";

export const VERSION = "2026-10-21";
/** The version under which requests may have sampling parameters. */
export const SAMPLING_VERSION = "2023-06-01";

/** An answer of the API that is an error, or no answer at all (status 0). */
export class ApiError extends Error {
  readonly status: number;
  readonly type: string;
  readonly requestId: string | null;
  /** The pause that the server asks for before another try, in seconds. */
  readonly retryAfterS: number | null;
  /** The path that was asked, and null where there was no answer. */
  readonly path: string | null;

  constructor(
    status: number,
    type: string,
    message: string,
    requestId: string | null,
    retryAfterS: number | null = null,
    path: string | null = null,
  ) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.type = type;
    this.requestId = requestId;
    this.retryAfterS = retryAfterS;
    this.path = path;
  }
}

/** Return whether an error says that there is no session any more. */
export function isSignedOut(error: unknown): boolean {
  return error instanceof ApiError && error.status === 401;
}

export type Query = Record<string, string | number | boolean | readonly string[] | undefined>;

export interface Call {
  body?: unknown;
  query?: Query;
  /** The workspace in which the request acts. */
  workspace?: string | undefined;
  signal?: AbortSignal | undefined;
  version?: string;
  /** Makes a repetition of the request have no second effect. */
  idempotencyKey?: string;
}

/** Send a request; return the answer if it is none of an error. Throws `ApiError`. */
export async function send(method: string, path: string, call: Call = {}): Promise<Response> {
  const headers = headersOf(call);
  if (call.body !== undefined) headers.set("content-type", "application/json");
  if (call.idempotencyKey) headers.set("idempotency-key", call.idempotencyKey);
  let answer: Response;
  try {
    answer = await fetch(withQuery(path, call.query), {
      method,
      headers,
      credentials: "same-origin",
      redirect: "error",
      ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
      ...(call.signal ? { signal: call.signal } : {}),
    });
  } catch (error) {
    if (call.signal?.aborted) throw error;
    throw noAnswer();
  }
  if (!answer.ok) {
    const body = await answer.text().catch(() => "");
    throw errorOf(answer.status, answer.headers, body, path);
  }
  return answer;
}

/** Return the headers of every request of the Console. */
export function headersOf({ version, workspace }: Pick<Call, "version" | "workspace">): Headers {
  const headers = new Headers({
    "x-antiphon-console": "1",
    "anthropic-version": version ?? VERSION,
  });
  if (workspace) headers.set("anthropic-workspace-id", workspace);
  return headers;
}

/** Return the error of a server that does not answer. */
export function noAnswer(): ApiError {
  return new ApiError(0, "network", "The server does not answer. Is it running?", null);
}

/** Send a request and return its JSON. Throws `ApiError`. */
export async function ask<Answer>(method: string, path: string, call: Call = {}): Promise<Answer> {
  const answer = await send(method, path, call);
  return (await answer.json()) as Answer;
}

/** Return the error that an answer with this status, these headers and this body says. */
export function errorOf(status: number, headers: Headers, body: unknown, path: string): ApiError {
  let value = body;
  try {
    if (typeof body === "string") value = JSON.parse(body);
  } catch {
    // A proxy in front of the server answered in words of its own.
  }
  const { type, message } = errorIn(value);
  const pause = retryAfterMs(headers, Date.now());
  return new ApiError(
    status,
    type ?? "api_error",
    message ?? `The server answered ${status}.`,
    headers.get("request-id"),
    pause === null ? null : pause / 1000,
    path,
  );
}
