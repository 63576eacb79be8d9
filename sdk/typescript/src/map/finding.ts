// Finds the batch of a create whose answer was lost, on a server that keeps no idempotency keys.
//
// The list of batches tells when each was created and how many requests it has, but not their ids:
// those stand in its results. So a batch that may be the one is waited for, and then known by the
// `custom_id` of its first result.

import type { Antiphon } from "../client.ts";
import { sleep } from "../clock.ts";
import { APIResponseValidationError, NotFoundError } from "../errors.ts";
import { checked, Poll, type Waiting } from "./trying.ts";

const CLOCKS_APART_MS = 300_000;

/**
 * Return the batch with these requests that was created after a moment, or `undefined`.
 *
 * `known` batches are others'. Throws `APIError`.
 */
export async function findBatch(
  client: Antiphon,
  ids: ReadonlyMap<string, unknown>,
  since: number,
  known: ReadonlySet<string | undefined>,
  how: Waiting,
): Promise<string | undefined> {
  const { signal } = how;
  for await (const batch of client.messages.batches.list({ limit: 100 }, { signal })) {
    checked(batch);
    if (Date.parse(batch.created_at) < since - CLOCKS_APART_MS) return undefined;
    const counts = Object.values(batch.request_counts) as number[];
    const total = counts.reduce((sum, count) => sum + count, 0);
    if (known.has(batch.id) || total !== ids.size) continue;
    const poll = new Poll(client, batch.id, how);
    while ((await poll.ask())?.processing_status !== "ended") {
      await sleep(client.clock, poll.due - client.clock.now(), signal);
    }
    const first = await firstId(client, batch.id, signal);
    if (first !== undefined && ids.has(first)) return batch.id;
  }
  return undefined;
}

async function firstId(
  client: Antiphon,
  id: string,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  try {
    for await (const line of client.messages.batches.results(id, { signal })) {
      return line?.custom_id;
    }
  } catch (error) {
    // Its results are gone: it is none that a map has begun lately.
    const isGone = error instanceof NotFoundError || error instanceof APIResponseValidationError;
    if (!isGone) throw error;
  }
  return undefined;
}
