// How long what may pass is tried again, and when a batch is looked at next.

import type { Antiphon } from "../client.ts";
import { sleep } from "../clock.ts";
import { isRecord } from "../error_body.ts";
import {
  APIConnectionError,
  APIResponseValidationError,
  APIStatusError,
  NotFoundError,
} from "../errors.ts";
import { mayPass } from "../retries.ts";
import type { MessageBatch } from "../wire.ts";

/** A batch may be unknown for so long after its creation; a server that never answered, as well. */
export const NEW_MS = 60_000;
const GROWTH = 1.5;

/** How to wait. Times are milliseconds. */
export interface Waiting {
  firstPause: number;
  longestPause: number;
  /** For so long at a time the server may be away, or answer with errors that pass. */
  patience: number;
  signal: AbortSignal | undefined;
}

/** Return whether the same question may be answered later. */
export function passes(error: unknown): boolean {
  if (error instanceof APIStatusError) return mayPass(error.status, error.headers);
  return error instanceof APIConnectionError;
}

/** Return whether a server has refused to do more for now; then it has done nothing. */
export function isFull(error: unknown): boolean {
  return error instanceof APIStatusError && error.status === 429;
}

/** Tries of one call that may pass: how long to wait, and when to give up. */
export class Trying {
  readonly #client: Antiphon;
  readonly #how: Waiting;
  readonly #patience: number;
  #pause: number;
  #since: number | undefined;

  constructor(client: Antiphon, how: Waiting, isNew: boolean = false) {
    this.#client = client;
    this.#how = how;
    this.#patience = isNew ? Math.min(how.patience, NEW_MS) : how.patience;
    this.#pause = how.firstPause;
  }

  /** Wait after an error; throws it if it does not pass. */
  async wait(error: unknown): Promise<void> {
    if (!passes(error)) throw error;
    const { clock } = this.#client;
    const now = clock.now();
    // A full queue empties as batches end, which may take hours: that is no fault.
    if (isFull(error)) this.#since = now;
    this.#since ??= now;
    if (now - this.#since >= this.#patience) throw error;
    const pause = this.#pause;
    this.#pause = Math.min(this.#how.longestPause, pause * 2);
    await sleep(clock, pause, this.#how.signal);
  }
}

/** Looks at one batch again and again. It knows when it is due. */
export class Poll {
  readonly id: string;
  batch: MessageBatch | undefined;
  due: number;
  readonly #client: Antiphon;
  readonly #how: Waiting;
  readonly #begun: number;
  #pause: number;
  #awaySince: number | undefined;

  constructor(client: Antiphon, id: string, how: Waiting) {
    this.id = id;
    this.#client = client;
    this.#how = how;
    this.#pause = how.firstPause;
    this.#begun = client.clock.now();
    this.due = this.#begun;
  }

  /**
   * Ask once; return the batch, or `undefined` if the server could not say.
   *
   * Throws `APIError` for what will not pass, and for what has not passed with patience.
   */
  async ask(): Promise<MessageBatch | undefined> {
    const { clock, messages } = this.#client;
    const { signal, firstPause, longestPause } = this.#how;
    let found: MessageBatch | undefined;
    try {
      found = checked(await messages.batches.retrieve(this.id, { signal, maxRetries: 0 }));
      this.#awaySince = undefined;
      if (this.batch && countsOf(found) !== countsOf(this.batch)) {
        // Something happens: look a little more often.
        this.#pause = Math.max(firstPause, this.#pause / GROWTH ** 2);
      }
      this.batch = found;
    } catch (error) {
      const isNew = !this.batch && clock.now() - this.#begun < NEW_MS;
      const isUnknown = isNew && error instanceof NotFoundError;
      if (!isUnknown && (!passes(error) || this.#isOutOfPatience())) throw error;
    }
    this.due = clock.now() + this.#pause;
    this.#pause = Math.min(longestPause, this.#pause * GROWTH);
    return found;
  }

  #isOutOfPatience(): boolean {
    const now = this.#client.clock.now();
    this.#awaySince ??= now;
    const { patience } = this.#how;
    return now - this.#awaySince >= (this.batch ? patience : Math.min(patience, NEW_MS));
  }
}

/** Return an answer that is a batch. Throws `APIResponseValidationError` for any other. */
export function checked(answer: MessageBatch): MessageBatch {
  const said: unknown = answer;
  if (isRecord(said) && isId(said.id) && isRecord(said.request_counts)) return answer;
  throw new APIResponseValidationError("the answer is no batch", 200, null);
}

function isId(id: unknown): boolean {
  return typeof id === "string" && id !== "";
}

function countsOf({ request_counts }: MessageBatch): string {
  return JSON.stringify(request_counts);
}
