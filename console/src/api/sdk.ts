// The SDK as the Console uses it: with the session's cookie in the place of a key.

import { Antiphon, APIConnectionError, APIStatusError, type MessageStream } from "antiphon";
import { errorOf, headersOf, noAnswer, SAMPLING_VERSION } from "./client.ts";

const PATH = "/v1/messages";

/** Stream a message. Whoever looks decides how long to wait: nothing ends it but the signal. */
export function streamMessage(
  body: Record<string, unknown>,
  workspace: string | undefined,
  signal: AbortSignal,
): MessageStream {
  const client = new Antiphon({
    apiKey: null,
    baseURL: location.origin,
    timeout: null,
    idleTimeout: null,
    maxRetries: 0,
    logLevel: "off",
    fetchOptions: { credentials: "same-origin" },
    // The header of pages of other origins is none of a page of the server's own.
    defaultHeaders: { "anthropic-dangerous-direct-browser-access": null },
  });
  const headers = Object.fromEntries(headersOf({ workspace, version: SAMPLING_VERSION }));
  return client.messages.stream(body as unknown as Parameters<typeof client.messages.stream>[0], {
    signal,
    headers,
  });
}

/** Return an error of the SDK as the Console shows errors. */
export function asApiError(error: unknown): Error {
  if (error instanceof APIStatusError) {
    const { status, headers, body } = error;
    return errorOf(status, (name) => headers.get(name), JSON.stringify(body), PATH);
  }
  return error instanceof APIConnectionError ? noAnswer() : (error as Error);
}
