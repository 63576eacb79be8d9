import type { Batch } from "../api/types.ts";

/** Return how many requests a batch has. */
export function requestsOf({ request_counts: counts }: Pick<Batch, "request_counts">): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** Return the finished part of a batch, from 0 to 1. */
export function batchProgress(batch: Pick<Batch, "request_counts">): number {
  const all = requestsOf(batch);
  return all ? (all - batch.request_counts.processing) / all : 1;
}
