// The SDK as the Console uses it: with the session's cookie in the place of a key.
//
// For pages of messages, batches and files, which are none that somebody sees first.

import { Antiphon, APIConnectionError, APIStatusError, type MessageStream } from "antiphon";
import { errorOf, headersOf, noAnswer, SAMPLING_VERSION } from "./client.ts";

export const MESSAGES = "/v1/messages";

/**
 * Return a client of the API that acts in a workspace. Whoever looks decides how long to wait, and a
 * query is repeated by those who show it.
 */
export function clientIn(workspace: string | undefined, version?: string): Antiphon {
  return new Antiphon({
    apiKey: null,
    baseURL: location.origin,
    timeout: null,
    idleTimeout: null,
    maxRetries: 0,
    logLevel: "off",
    fetchOptions: { credentials: "same-origin" },
    defaultHeaders: {
      // The header of pages of other origins is none of a page of the server's own.
      "anthropic-dangerous-direct-browser-access": null,
      ...Object.fromEntries(headersOf({ workspace, ...(version ? { version } : {}) })),
    },
  });
}

/** Return what a call below a path gives. Throws `ApiError`. */
export async function answered<T>(path: string, call: PromiseLike<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw asApiError(error, path);
  }
}

/** Stream a message: nothing ends it but the signal. */
export function streamMessage(
  body: Record<string, unknown>,
  workspace: string | undefined,
  signal: AbortSignal,
): MessageStream {
  const { messages } = clientIn(workspace, SAMPLING_VERSION);
  return messages.stream(body as unknown as Parameters<typeof messages.stream>[0], { signal });
}

/** Return an error of the SDK as the Console shows errors. */
export function asApiError(error: unknown, path: string = MESSAGES): Error {
  if (error instanceof APIStatusError) {
    return errorOf(error.status, error.headers, error.body, path);
  }
  return error instanceof APIConnectionError ? noAnswer() : (error as Error);
}
