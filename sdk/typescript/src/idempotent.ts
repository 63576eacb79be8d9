import type { CallOptions } from "./client.ts";

/** Return options with a key by which Antiphon tells a repetition from another call. */
export function idempotent(options: CallOptions = {}): CallOptions {
  return { ...options, idempotencyKey: options.idempotencyKey ?? crypto.randomUUID() };
}
