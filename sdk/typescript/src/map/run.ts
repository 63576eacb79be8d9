// The map: rows go into batches, batches are waited for, results come back row by row.
//
// What has happened stands in the store before anything relies on it, so a run that is killed
// anywhere is continued by the next one:
//
//     rows ─▶ requests ─▶ part ══▶ create (by key) ─▶ batch ══▶ wait ─▶ results ══▶ yield
//                           └──── kept ────┘             └── kept ──┘
//
// A part without a batch is one whose create may have reached the server. It is sent again with the
// same key and the same body, and Antiphon answers with the batch that the first one made. Where no
// server keeps keys, that batch is looked for first.

import type { Antiphon, CallOptions } from "../client.ts";
import { sleep } from "../clock.ts";
import { isRecord } from "../error_body.ts";
import { APIConnectionError } from "../errors.ts";
import type { BatchRequest } from "../wire.ts";
import { findBatch } from "./finding.ts";
import type { Journal, Part } from "./journal.ts";
import { MapResult } from "./result.ts";
import { RowChangedError, type Rows, sizeOf } from "./rows.ts";
import { checked, isFull, Poll, Trying, type Waiting } from "./trying.ts";

/** For so long a key is surely known; Antiphon forgets it after a day. */
const KEYS_LIVE_MS = 23 * 3_600_000;
const CANCEL_WITHIN_MS = 10_000;
/** What stands around the requests of a body. */
const AROUND_BYTES = 64;

/** How a map works; see `MapOptions`. */
export interface Settings extends Waiting {
  isOrdered: boolean;
  retries: number;
  partRequests: number;
  partBytes: number;
  openParts: number;
  cancelsOnAbort: boolean;
  /** Whether the server knows `idempotency-key`. */
  keepsKeys: boolean;
  onProgress: ((progress: MapProgress) => void) | undefined;
}

/** How far a map is. The counts are rows that have ended; `batches` that are open have ids. */
export interface MapProgress {
  /** How many rows were read so far. */
  rows: number;
  /** How many are in batches. */
  sent: number;
  succeeded: number;
  errored: number;
  canceled: number;
  expired: number;
  batches: string[];
}

/** The state of one run. */
export class Run {
  readonly #client: Antiphon;
  readonly #journal: Journal;
  readonly #rows: Rows;
  readonly #how: Settings;
  readonly #call: CallOptions;
  /** Rows of the next part: new ones, and those that are tried again. */
  #next: number[] = [];
  #nextBytes = 0;
  readonly #again: number[] = [];
  readonly #unsent: Part[] = [];
  readonly #polls: Map<Part, Poll> = new Map();
  readonly #settled: boolean[] = [];
  /** Where the emission stands: the next row, or the rows that are ready in any order. */
  #emitted = 0;
  #ready: number[] = [];
  readonly #ended: Record<string, number> = {};
  #told = "";
  #sending: Part | undefined;
  #isAnswered = false;

  constructor(client: Antiphon, journal: Journal, rows: Rows, how: Settings) {
    this.#client = client;
    this.#journal = journal;
    this.#rows = rows;
    this.#how = how;
    this.#call = { signal: how.signal, maxRetries: 0 };
  }

  async *all(): AsyncGenerator<MapResult> {
    this.#resume();
    for (;;) {
      while (this.#mayFill()) {
        if (!this.#unsent.length) await this.#readPart();
        const part = this.#unsent.shift();
        if (part) await this.#send(part);
        yield* this.#emit();
      }
      await this.#poll();
      yield* this.#emit();
      if (this.#mayFill()) continue;
      if (!this.#polls.size) return;
      const due = Math.min(...[...this.#polls.values()].map((poll) => poll.due));
      const pause = Math.max(1, due - this.#client.clock.now());
      await sleep(this.#client.clock, pause, this.#how.signal);
    }
  }

  /** Cancel every batch that is open, and the one that was just being created. */
  async cancel(): Promise<void> {
    const { batches } = this.#client.messages;
    const { logger } = this.#client;
    const within: CallOptions = { timeout: CANCEL_WITHIN_MS };
    const open = [...this.#polls].map(([part, poll]) => ({ part, id: poll.id }));
    const part = this.#sending;
    try {
      if (part && this.#keyLives(part)) {
        const { id } = await this.#create(part, { ...within, maxRetries: 0 });
        await this.#journal.setBatch(part, id);
        open.push({ part, id });
      }
    } catch (error) {
      logger.warn(`a batch that was being created may be left: ${error}`);
    }
    for (const { part, id } of open) {
      try {
        await batches.cancel(id, within);
        await this.#journal.setInterrupted(part);
      } catch (error) {
        logger.warn(`the batch ${id} was not cancelled: ${error}`);
      }
    }
  }

  /** Take over what earlier runs have done. */
  #resume(): void {
    for (const part of this.#journal.parts) {
      if (part.batch === undefined) this.#unsent.push(part);
      else if (part.isCollected) this.#settle(part);
      else this.#watch(part, part.batch);
    }
  }

  // Rows into parts, parts into batches

  #mayFill(): boolean {
    if (this.#polls.size >= this.#how.openParts) return false;
    const isThere = this.#unsent.length || this.#again.length || this.#next.length;
    return Boolean(isThere) || !this.#rows.haveEnded;
  }

  /** Make a part of rows that are tried again, and of new ones, until it is full. */
  async #readPart(): Promise<void> {
    const journal = this.#journal;
    while (this.#again.length && !this.#isFull(0)) {
      const row = this.#again.shift() as number;
      this.#add(row, sizeOf(await journal.request(row)));
    }
    while (!this.#isFull(0)) {
      const request = await this.#rows.next();
      if (!request) break;
      const row = this.#rows.seen - 1;
      await this.#take(row, request);
      if (journal.tries[row]) continue; // It is in a part already.
      const size = sizeOf(request);
      if (this.#isFull(size)) await this.#closePart();
      this.#add(row, size);
      if (this.#unsent.length) return;
    }
    if (this.#rows.haveEnded && this.#rows.seen < journal.count) {
      const { seen } = this.#rows;
      throw new RowChangedError(
        `the rows end after ${seen}, and there were ${journal.count}`,
        seen,
      );
    }
    await this.#closePart();
  }

  /** Note the request of a row, or compare it with the one of an earlier run. */
  async #take(row: number, request: BatchRequest): Promise<void> {
    if (row === this.#journal.count) {
      this.#journal.addRequest(request);
    } else if (JSON.stringify(await this.#journal.request(row)) !== JSON.stringify(request)) {
      throw new RowChangedError(
        `row ${row} (${request.custom_id}) is not what it was when the map was begun. ` +
          "Map the same rows with the same function, or begin another one.",
        row,
      );
    }
  }

  #add(row: number, size: number): void {
    this.#next.push(row);
    this.#nextBytes += size + 1;
  }

  #isFull(more: number): boolean {
    const { partRequests, partBytes } = this.#how;
    if (!this.#next.length) return false;
    return this.#next.length >= partRequests || this.#nextBytes + more > partBytes - AROUND_BYTES;
  }

  async #closePart(): Promise<void> {
    if (!this.#next.length) return;
    const rows = this.#next.sort((one, other) => one - other);
    this.#next = [];
    this.#nextBytes = 0;
    this.#unsent.push(await this.#journal.addPart(rows, this.#client.clock.wall()));
  }

  /** Create the batch of a part, once. */
  async #send(part: Part): Promise<void> {
    // An abort that comes before has nothing to cancel.
    if (this.#how.signal?.aborted) throw this.#how.signal.reason;
    this.#sending = part;
    const trying = new Trying(this.#client, this.#how, !this.#isAnswered);
    for (;;) {
      try {
        const isLost = part.isTried && !this.#keyLives(part);
        const id =
          (isLost && (await this.#find(part))) || (await this.#create(part, this.#call)).id;
        await this.#journal.setBatch(part, id);
        this.#watch(part, id);
        break;
      } catch (error) {
        part.isTried ||= !isFull(error);
        await trying.wait(error);
      }
    }
    this.#sending = undefined;
    this.#isAnswered = true;
  }

  async #create(part: Part, options: CallOptions): Promise<{ id: string }> {
    const requests: BatchRequest[] = [];
    for (const row of part.rows) requests.push(await this.#journal.request(row));
    const idempotencyKey = `map-${this.#journal.id}-${part.number}`;
    const { batches } = this.#client.messages;
    return checked(await batches.create({ requests }, { ...options, idempotencyKey }));
  }

  #keyLives(part: Part): boolean {
    return this.#how.keepsKeys && this.#client.clock.wall() - part.at < KEYS_LIVE_MS;
  }

  async #find(part: Part): Promise<string | undefined> {
    const known = new Set(this.#journal.parts.map(({ batch }) => batch));
    return findBatch(this.#client, await this.#journal.ids(part), part.at, known, this.#how);
  }

  // Batches into results

  #watch(part: Part, id: string): void {
    this.#polls.set(part, new Poll(this.#client, id, this.#how));
  }

  async #poll(): Promise<void> {
    for (const [part, poll] of this.#polls) {
      if (poll.due > this.#client.clock.now()) continue;
      const batch = await poll.ask();
      if (batch?.processing_status !== "ended") continue;
      await this.#collect(part, batch.id);
      this.#polls.delete(part);
      this.#settle(part);
    }
  }

  /** Note the results of a part; begin again if the connection is lost. */
  async #collect(part: Part, id: string): Promise<void> {
    const journal = this.#journal;
    const rows = await journal.ids(part);
    const trying = new Trying(this.#client, this.#how);
    for (;;) {
      try {
        const results = this.#client.messages.batches.results(id, this.#call);
        for await (const line of results) {
          if (!isResult(line)) continue; // Its row is one of those that lack.
          const row = rows.get(line.custom_id);
          if (row !== undefined) journal.addResult(row, part, line.result);
        }
        const missing = part.rows.filter((row) => !journal.hasResult(row, part)).length;
        if (!missing) break;
        throw new APIConnectionError(
          `the results of ${id} lack ${missing} of ${part.rows.length} rows`,
        );
      } catch (error) {
        await trying.wait(error);
      }
    }
    await journal.setCollected(part);
  }

  /** Decide which rows of a collected part are tried again; the others are ready. */
  #settle(part: Part): void {
    for (const row of part.rows) {
      if (!this.#journal.isLast(row, part)) continue;
      const kind = this.#journal.kinds[row] as string;
      if (this.#isTriedAgain(row, part, kind)) {
        this.#again.push(row);
        continue;
      }
      this.#settled[row] = true;
      this.#ended[kind] = (this.#ended[kind] ?? 0) + 1;
      if (!this.#how.isOrdered) this.#ready.push(row);
    }
  }

  #isTriedAgain(row: number, part: Part, kind: string): boolean {
    if (part.isInterrupted && kind === "canceled") return true;
    if ((this.#journal.tries[row] ?? 0) > this.#how.retries) return false;
    return kind === "expired" || Boolean(this.#journal.passing[row]);
  }

  // Results to whoever iterates

  async *#emit(): AsyncGenerator<MapResult> {
    this.#tell();
    // A row is not ready before it was compared with what was asked.
    const { seen } = this.#rows;
    if (this.#how.isOrdered) {
      while (this.#emitted < seen && this.#settled[this.#emitted]) {
        yield await this.#result(this.#emitted++);
      }
      return;
    }
    const ready = this.#ready;
    this.#ready = ready.filter((row) => row >= seen);
    for (const row of ready) if (row < seen) yield await this.#result(row);
  }

  async #result(row: number): Promise<MapResult> {
    const { custom_id } = await this.#journal.request(row);
    const result = await this.#journal.result(row);
    return new MapResult(row, custom_id, result, this.#journal.tries[row] ?? 0);
  }

  #tell(): void {
    if (!this.#how.onProgress) return;
    const polls = [...this.#polls.values()];
    const count = (kind: "succeeded" | "errored" | "canceled" | "expired"): number =>
      polls.reduce(
        (sum, { batch }) => sum + (batch?.request_counts[kind] ?? 0),
        this.#ended[kind] ?? 0,
      );
    const progress: MapProgress = {
      rows: this.#journal.count,
      sent: this.#journal.tries.filter(Boolean).length,
      succeeded: count("succeeded"),
      errored: count("errored"),
      canceled: count("canceled"),
      expired: count("expired"),
      batches: polls.map(({ id }) => id),
    };
    const told = JSON.stringify(progress);
    if (told === this.#told) return;
    this.#told = told;
    this.#how.onProgress(progress);
  }
}

/** Return whether a line of results has what a row may have. */
function isResult(line: unknown): boolean {
  if (!isRecord(line) || !isRecord(line.result)) return false;
  const { type, message, error } = line.result;
  if (type === "succeeded") return isRecord(message);
  if (type === "errored") return isRecord(error);
  return typeof type === "string";
}
