// How the Console asks the API. The session's cookie goes with each request by itself.

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

/** Return a path with its query: lists are `name[]=…`, what is undefined is left out. */
export function address(path: string, query: Query = {}): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue;
    if (typeof value === "object") for (const item of value) params.append(`${name}[]`, item);
    else params.append(name, String(value));
  }
  return params.size ? `${path}?${params}` : path;
}

/** Send a request; return the answer if it is none of an error. Throws `ApiError`. */
export async function send(method: string, path: string, call: Call = {}): Promise<Response> {
  const headers = new Headers({
    "x-antiphon-console": "1",
    "anthropic-version": call.version ?? VERSION,
  });
  if (call.body !== undefined) headers.set("content-type", "application/json");
  if (call.workspace) headers.set("anthropic-workspace-id", call.workspace);
  if (call.idempotencyKey) headers.set("idempotency-key", call.idempotencyKey);
  let answer: Response;
  try {
    answer = await fetch(address(path, call.query), {
      method,
      headers,
      credentials: "same-origin",
      redirect: "error",
      ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
      ...(call.signal ? { signal: call.signal } : {}),
    });
  } catch (error) {
    if (call.signal?.aborted) throw error;
    throw new ApiError(0, "network", "The server does not answer. Is it running?", null);
  }
  if (!answer.ok) throw await errorOf(answer, path);
  return answer;
}

/** Send a request and return its JSON. Throws `ApiError`. */
export async function ask<Answer>(method: string, path: string, call: Call = {}): Promise<Answer> {
  const answer = await send(method, path, call);
  return (await answer.json()) as Answer;
}

async function errorOf(answer: Response, path: string): Promise<ApiError> {
  const retryAfter = Number(answer.headers.get("retry-after") ?? Number.NaN);
  const requestId = answer.headers.get("request-id");
  let type = "api_error";
  let message = `The server answered ${answer.status}.`;
  try {
    const { error } = (await answer.json()) as { error: { type: string; message: string } };
    ({ type, message } = error);
  } catch {
    // A proxy in front of the server answered in words of its own.
  }
  const pause = Number.isFinite(retryAfter) ? retryAfter : null;
  return new ApiError(answer.status, type, message, requestId, pause, path);
}
