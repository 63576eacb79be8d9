// `antiphon/batches`: a map over rows by Message Batches, which goes on where it was ended.
//
//     for await (const result of map(client, asked, questions, { store: new FileStore("q.map") })) …

import type { Antiphon } from "./client.ts";
import { Ending } from "./exchange.ts";
import { Journal } from "./map/journal.ts";
import type { MapResult } from "./map/result.ts";
import { type Asked, Rows } from "./map/rows.ts";
import { type MapProgress, Run, type Settings } from "./map/run.ts";
import { MapFileInUseError, type MapStore, MemoryStore } from "./map/store.ts";

export { MapResult, RowCanceledError, RowError, RowExpiredError } from "./map/result.ts";
export { type Asked, RowChangedError, type RowParams } from "./map/rows.ts";
export type { MapProgress } from "./map/run.ts";
export { MapFileError, MapFileInUseError, type MapStore, MemoryStore } from "./map/store.ts";

const MOST_REQUESTS = 100_000;
const MOST_BYTES = 256_000_000;
const HOSTED = /\.anthropic\.com$/;

/** How a map works. Times are milliseconds. */
export interface MapOptions {
  /** Where the run is kept. Default: as long as the program runs. */
  store?: MapStore | undefined;
  /** Whether results come in the order of the rows. Yes. */
  ordered?: boolean | undefined;
  /** In how many more batches a row goes that expires, or ends with an error that may pass. 0. */
  retries?: number | undefined;
  /** The most of one batch. What the API takes: 100,000, and 256 MB. */
  partRequests?: number | undefined;
  partBytes?: number | undefined;
  /** How many batches may be open at once. 100. */
  openParts?: number | undefined;
  /** Told how far the map is, whenever that has changed. */
  onProgress?: ((progress: MapProgress) => void) | undefined;
  /** The first pause between two looks at a batch, and the longest. 1 and 30 seconds. */
  firstPause?: number | undefined;
  longestPause?: number | undefined;
  /** For so long at a time the server may be away, or answer with errors that pass. An hour. */
  patience?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Whether the signal cancels the batches that are open. Yes, without a store. */
  cancelOnAbort?: boolean | undefined;
}

/**
 * Answer every row by Message Batches; iterate over what comes back.
 *
 * `ask` makes the parameters of a message of a row, or a `custom_id` and them. A run that was killed
 * is continued by mapping the same rows with the same store: no row is sent twice, and the results
 * that are there come at once. Throws `APIError`, `MapFileError`, and `TypeError` for options and
 * rows that cannot be.
 */
export async function* map<Row>(
  client: Antiphon,
  ask: (row: Row, number: number) => Asked | Promise<Asked>,
  rows: Iterable<Row> | AsyncIterable<Row>,
  options: MapOptions = {},
): AsyncGenerator<MapResult> {
  const ending = new Ending(options.signal);
  const settings = settingsOf(client, options, ending.controller.signal);
  const store = options.store ?? new MemoryStore();
  const journal = new Journal(store);
  let isOurs = true;
  try {
    const newId = crypto.randomUUID().replaceAll("-", "").slice(0, 12);
    await journal.open(client.baseURL, newId).catch((error: unknown) => {
      isOurs = !(error instanceof MapFileInUseError);
      throw error;
    });
    const read = new Rows(rows, ask, journal.id);
    const run = new Run(client, journal, read, settings);
    try {
      yield* run.all();
    } catch (error) {
      if (ending.error && settings.cancelsOnAbort) await run.cancel();
      throw error;
    } finally {
      await read.close();
    }
  } finally {
    ending.settle();
    if (isOurs) await store.close();
  }
}

function settingsOf(client: Antiphon, options: MapOptions, signal: AbortSignal): Settings {
  const settings = {
    isOrdered: options.ordered ?? true,
    retries: options.retries ?? 0,
    partRequests: options.partRequests ?? MOST_REQUESTS,
    partBytes: options.partBytes ?? MOST_BYTES,
    openParts: options.openParts ?? 100,
    firstPause: options.firstPause ?? 1000,
    longestPause: options.longestPause ?? 30_000,
    patience: options.patience ?? 3_600_000,
    cancelsOnAbort: options.cancelOnAbort ?? options.store === undefined,
    keepsKeys: !HOSTED.test(new URL(client.baseURL).hostname),
    signal,
    onProgress: options.onProgress,
  };
  const { partRequests, partBytes, openParts, retries, firstPause, longestPause } = settings;
  within("partRequests", partRequests, 1, MOST_REQUESTS);
  within("partBytes", partBytes, 1, MOST_BYTES);
  within("openParts", openParts, 1, Number.POSITIVE_INFINITY);
  within("retries", retries, 0, Number.POSITIVE_INFINITY);
  within("firstPause", firstPause, 1, longestPause);
  return settings;
}

function within(name: string, value: number, least: number, most: number): void {
  if (value >= least && value <= most) return;
  throw new TypeError(`\`${name}\` is ${value}; it is ${least} to ${most}`);
}
