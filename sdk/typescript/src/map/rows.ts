// The rows of a map: what is asked for each of them.

import { isRecord } from "../error_body.ts";
import type { BatchRequest, MessageCreateBody } from "../wire.ts";
import { MapFileError } from "./store.ts";

/** What is asked for a row: the parameters of a message, or a `custom_id` and them. */
export type Asked = RowParams | [customId: string, params: RowParams];
export type RowParams = Omit<MessageCreateBody, "stream">;

const CUSTOM_ID = /^[a-zA-Z0-9_-]{1,64}$/;

/** The rows of a map are not those that it was begun with. `row` is the first such one. */
export class RowChangedError extends MapFileError {
  readonly row: number;

  constructor(message: string, row: number) {
    super(message);
    this.row = row;
  }
}

/**
 * The requests of rows, one after the other.
 *
 * A row without a `custom_id` of its own gets one from its number and the id of the map, so that a
 * batch is known by its ids. Ids of the program are kept, to find one that is given twice.
 */
export class Rows {
  /** How many were read. */
  seen = 0;
  haveEnded = false;
  readonly #iterator: AsyncIterator<unknown> | Iterator<unknown>;
  readonly #ask: (row: never, number: number) => Asked | Promise<Asked>;
  readonly #mapId: string;
  readonly #given: Set<string> = new Set();

  constructor(
    rows: Iterable<unknown> | AsyncIterable<unknown>,
    ask: (row: never, number: number) => Asked | Promise<Asked>,
    mapId: string,
  ) {
    this.#iterator =
      Symbol.asyncIterator in rows ? rows[Symbol.asyncIterator]() : rows[Symbol.iterator]();
    this.#ask = ask;
    this.#mapId = mapId;
  }

  /** Return the request of the next row; `undefined` behind the last. Throws `TypeError`. */
  async next(): Promise<BatchRequest | undefined> {
    if (this.haveEnded) return undefined;
    const { done, value } = await this.#iterator.next();
    if (done) {
      this.haveEnded = true;
      return undefined;
    }
    const number = this.seen++;
    const made = await this.#ask(value as never, number);
    const [custom_id, params] = Array.isArray(made)
      ? [this.#checked(made[0], number), made[1]]
      : [`${this.#mapId}-${number}`, made];
    if (!isRecord(params)) throw new TypeError(`row ${number}: it has no parameters of a message`);
    return { custom_id, params };
  }

  /** Leave the rows that were not read. */
  async close(): Promise<void> {
    if (!this.haveEnded) await this.#iterator.return?.();
  }

  #checked(id: string, number: number): string {
    if (typeof id !== "string" || !CUSTOM_ID.test(id)) {
      const told = JSON.stringify(id);
      throw new TypeError(
        `row ${number}: the custom_id ${told} is not 1 to 64 letters, digits, \`_\` and \`-\``,
      );
    }
    if (this.#given.has(id)) {
      throw new TypeError(`row ${number}: another row has the custom_id "${id}" as well`);
    }
    this.#given.add(id);
    return id;
  }
}

/** Return the bytes of a request as JSON. */
export function sizeOf(request: BatchRequest): number {
  return new TextEncoder().encode(JSON.stringify(request)).length;
}
