// Message Batches: created once, waited for however long it takes, and read line by line.

import type { Call } from "../call.ts";
import type { Antiphon, CallOptions } from "../client.ts";
import { sleep } from "../clock.ts";
import { APIConnectionError, APIStatusError, NotFoundError } from "../errors.ts";
import { Ending } from "../exchange.ts";
import { idempotent } from "../idempotent.ts";
import { jsonLines } from "../lines.ts";
import { Pages } from "../pages.ts";
import { pathOf } from "../query.ts";
import { mayPass, pauseMs } from "../retries.ts";
import type {
  BatchCreateParams,
  DeletedBatch,
  MessageBatch,
  MessageBatchIndividualResponse,
  MessagesBatchesQuery,
} from "../wire.ts";

const PATH = "/v1/messages/batches";
const FIRST_POLL_MS = 500;
const LONGEST_POLL_MS = 30_000;
/** How long a batch that was just created may be unknown. */
const UNKNOWN_MS = 60_000;

/** How to wait for a batch. */
export interface WaitOptions {
  /** Told of the batch each time that it is looked at. */
  onProgress?: ((batch: MessageBatch) => void) | undefined;
  /** The longest pause between two looks, in milliseconds. 30 seconds. */
  pollInterval?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** `client.messages.batches`. */
export class Batches {
  readonly #client: Antiphon;

  constructor(client: Antiphon) {
    this.#client = client;
  }

  /** Create a batch. A repetition after a lost answer creates no second one on Antiphon. */
  create(params: BatchCreateParams, options?: CallOptions): Call<MessageBatch> {
    return this.#client.request({ method: "POST", path: PATH, body: params }, idempotent(options));
  }

  retrieve(id: string, options?: CallOptions): Call<MessageBatch> {
    return this.#client.request({ method: "GET", path: batchPath(id) }, options);
  }

  list(query: MessagesBatchesQuery = {}, options?: CallOptions): Pages<MessageBatch> {
    return new Pages(query, (page) =>
      this.#client.request({ method: "GET", path: PATH, query: page }, options),
    );
  }

  cancel(id: string, options?: CallOptions): Call<MessageBatch> {
    return this.#client.request({ method: "POST", path: batchPath(id, "cancel") }, options);
  }

  delete(id: string, options?: CallOptions): Call<DeletedBatch> {
    return this.#client.request({ method: "DELETE", path: batchPath(id) }, options);
  }

  /**
   * Wait until a batch has ended, and return it.
   *
   * It takes no network error, and no error of the server that may pass, for the end: only the
   * signal ends it early. A batch that was just created may be unknown for a minute.
   */
  async wait(id: string, options: WaitOptions = {}): Promise<MessageBatch> {
    const { clock } = this.#client;
    const longest = options.pollInterval ?? LONGEST_POLL_MS;
    const began = clock.now();
    const ending = new Ending(options.signal);
    const { signal } = ending.controller;
    let isKnown = false;
    for (let pause = FIRST_POLL_MS; ; pause *= 2) {
      try {
        const batch = await this.retrieve(id, { signal });
        isKnown = true;
        options.onProgress?.(batch);
        if (batch.processing_status === "ended") {
          ending.settle();
          return batch;
        }
      } catch (error) {
        const isNew = !isKnown && clock.now() - began < UNKNOWN_MS;
        if (!(isNew && error instanceof NotFoundError) && !isPassing(error)) throw error;
      }
      await sleep(clock, Math.min(pause, longest), signal);
    }
  }

  /**
   * Iterate over the results of a batch that has ended, in no certain order.
   *
   * They are read as they come, however many there are. If the connection is lost, the rest is
   * asked for again, and no result comes twice.
   */
  async *results(
    id: string,
    options: CallOptions = {},
  ): AsyncGenerator<MessageBatchIndividualResponse> {
    const seen = new Set<string>();
    const retries = options.maxRetries ?? this.#client.maxRetries;
    for (let failures = 0; ; ) {
      try {
        for await (const line of this.#lines(id, options)) {
          // Whatever a server says: its reader sees what it is.
          const id = line?.custom_id;
          if (id !== undefined && seen.has(id)) continue;
          seen.add(id);
          failures = 0;
          yield line;
        }
        return;
      } catch (error) {
        if (!(error instanceof APIConnectionError) || ++failures > retries) throw error;
        const { clock, random } = this.#client;
        await sleep(clock, pauseMs(null, failures - 1, clock.wall(), random()), options.signal);
      }
    }
  }

  async *#lines(id: string, options: CallOptions): AsyncGenerator<MessageBatchIndividualResponse> {
    const ending = new Ending(options.signal);
    const operation = {
      method: "GET" as const,
      path: batchPath(id, "results"),
      headers: { accept: "application/binary" },
    };
    const { response } = await this.#client.open(operation, options, ending);
    try {
      yield* jsonLines<MessageBatchIndividualResponse>(response);
    } finally {
      ending.settle();
    }
  }
}

function batchPath(...steps: string[]): string {
  return pathOf("messages", "batches", ...steps);
}

function isPassing(error: unknown): boolean {
  if (error instanceof APIStatusError) return mayPass(error.status, error.headers);
  return error instanceof APIConnectionError;
}
