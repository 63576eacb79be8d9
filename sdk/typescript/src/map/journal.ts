// What a map has asked, sent and got. It stands in the lines of its store before anything relies on it.
//
//     {"type":"map","version":1,"id":"…","server":"…"}
//     {"type":"request","row":0,"request":{"custom_id":"…","params":{…}}}
//     {"type":"part","part":0,"rows":[[0,999]],"at":…}      kept before the batch is created
//     {"type":"batch","part":0,"batch":"msgbatch_…"}
//     {"type":"result","row":0,"part":0,"result":{…}}
//     {"type":"collected","part":0}
//
// A later line about a row replaces an earlier one. In memory a row takes a few numbers.

import { isRecord } from "../error_body.ts";
import type { BatchRequest, MessageBatchResult } from "../wire.ts";
import { MapFileError, type MapStore } from "./store.ts";

const VERSION = 1;
const NONE = -1;
/** Types of errors of a row that another try may not have. */
const MAY_PASS: readonly unknown[] = [
  "api_error",
  "overloaded_error",
  "rate_limit_error",
  "timeout_error",
];

/** Rows that go into one batch. */
export interface Part {
  readonly number: number;
  readonly rows: readonly number[];
  /** When they were first sent, in milliseconds since 1970. */
  readonly at: number;
  batch: string | undefined;
  /** Whether all of its results are here. */
  isCollected: boolean;
  /** Whether its batch was cancelled, as the program was. */
  isInterrupted: boolean;
  /** Whether a create may have reached the server without its answer reaching us. */
  isTried: boolean;
}

/** One line as an earlier run has written it. */
type Line = Record<string, unknown> & { type: string };

/** What is known of the rows and parts of a map. */
export class Journal {
  /** The id of the map. */
  id = "";
  readonly parts: Part[] = [];
  /** The type of the last result of each row; "" before there is one. */
  readonly kinds: string[] = [];
  /** Whether the error of each row is one that another try may not have. */
  readonly passing: boolean[] = [];
  /** In how many parts each row was. */
  readonly tries: number[] = [];
  readonly #store: MapStore;
  readonly #requests: number[] = [];
  readonly #results: number[] = [];
  readonly #resultParts: number[] = [];
  readonly #lastParts: number[] = [];

  constructor(store: MapStore) {
    this.#store = store;
  }

  /** Open the store and read what stands in it; else begin a map with this id. */
  async open(server: string, newId: string): Promise<void> {
    let number = 0;
    for await (const [place, text] of this.#store.open()) {
      number++;
      try {
        this.#know(JSON.parse(text), place, server);
      } catch (error) {
        if (error instanceof MapFileError) throw error;
        const why = error instanceof Error ? error.message : String(error);
        throw new MapFileError(`line ${number} is none of a map: ${why}`, { cause: error });
      }
    }
    if (number) return;
    this.id = newId;
    this.#write({ type: "map", version: VERSION, id: newId, server });
    await this.#store.sync();
  }

  /** How many rows have a request. */
  get count(): number {
    return this.#requests.length;
  }

  /** Note the request of the next row. */
  addRequest(request: BatchRequest): void {
    this.#knowRequest(this.#write({ type: "request", row: this.count, request }));
  }

  async request(row: number): Promise<BatchRequest> {
    return (await this.#line(this.#requests[row] as number)).request as BatchRequest;
  }

  /** Return the rows of a part by their `custom_id`. */
  async ids(part: Part): Promise<Map<string, number>> {
    const found = new Map<string, number>();
    for (const row of part.rows) found.set((await this.request(row)).custom_id, row);
    return found;
  }

  /** Note the rows of a new part. They are kept when this returns. */
  async addPart(rows: readonly number[], at: number): Promise<Part> {
    const part = this.#knowPart(rows, at, false);
    this.#write({ type: "part", part: part.number, rows: rangesOf(rows), at: at / 1000 });
    await this.#store.sync();
    return part;
  }

  async setBatch(part: Part, batch: string): Promise<void> {
    part.batch = batch;
    this.#write({ type: "batch", part: part.number, batch });
    await this.#store.sync();
  }

  async setCollected(part: Part): Promise<void> {
    part.isCollected = true;
    this.#write({ type: "collected", part: part.number });
    await this.#store.sync();
  }

  async setInterrupted(part: Part): Promise<void> {
    part.isInterrupted = true;
    this.#write({ type: "interrupted", part: part.number });
    await this.#store.sync();
  }

  /** Note the result of a row, unless it is there already. */
  addResult(row: number, part: Part, result: MessageBatchResult): void {
    if (this.hasResult(row, part)) return;
    const place = this.#write({ type: "result", row, part: part.number, result });
    this.#knowResult(row, part.number, place, result);
  }

  hasResult(row: number, part: Part): boolean {
    return this.#resultParts[row] === part.number;
  }

  /** Return whether a row went into no later part than this one. */
  isLast(row: number, part: Part): boolean {
    return this.#lastParts[row] === part.number;
  }

  /** Return the last result of a row. */
  async result(row: number): Promise<MessageBatchResult> {
    return (await this.#line(this.#results[row] as number)).result as MessageBatchResult;
  }

  #write(line: Line): number {
    return this.#store.append(JSON.stringify(line));
  }

  async #line(place: number): Promise<Line> {
    return JSON.parse(await this.#store.read(place)) as Line;
  }

  /** Take over what a line of an earlier run says. */
  #know(line: unknown, place: number, server: string): void {
    if (!isRecord(line)) throw new TypeError("it is no object");
    if ((line.type === "map") !== (this.id === "")) {
      throw new TypeError("the first line, and only it, is the header");
    }
    switch (line.type) {
      case "map":
        this.#knowHeader(line, server);
        break;
      case "request":
        if (line.row !== this.count) throw new TypeError(`row ${this.count} belongs there`);
        this.#knowRequest(place);
        break;
      case "part":
        if (line.part !== this.parts.length) {
          throw new TypeError(`part ${this.parts.length} belongs there`);
        }
        // Whether the server has seen it is not known until its batch stands here.
        this.#knowPart(rowsIn(line.rows, this.count), Number(line.at) * 1000, true);
        break;
      case "batch":
        this.#part(line).batch = String(line.batch);
        break;
      case "result":
        this.#knowResult(Number(line.row), this.#part(line).number, place, line.result);
        break;
      case "collected":
        this.#part(line).isCollected = true;
        break;
      case "interrupted":
        this.#part(line).isInterrupted = true;
        break;
      default:
        throw new TypeError(`its type is ${JSON.stringify(line.type)}`);
    }
  }

  #knowHeader({ version, id, server: of }: Record<string, unknown>, server: string): void {
    if (version !== VERSION) {
      throw new MapFileError(`it is of version ${version}, and this program knows ${VERSION}`);
    }
    if (of !== server) {
      throw new MapFileError(`its batches are at ${of}, and this client is one of ${server}`);
    }
    this.id = String(id);
  }

  #knowRequest(place: number): void {
    this.#requests.push(place);
    this.#results.push(NONE);
    this.#resultParts.push(NONE);
    this.#lastParts.push(NONE);
    this.kinds.push("");
    this.passing.push(false);
    this.tries.push(0);
  }

  #knowPart(rows: readonly number[], at: number, isTried: boolean): Part {
    const number = this.parts.length;
    const part = { number, rows, at, isTried, batch: undefined };
    this.parts.push({ ...part, isCollected: false, isInterrupted: false });
    for (const row of rows) {
      this.#lastParts[row] = number;
      this.tries[row] = (this.tries[row] ?? 0) + 1;
    }
    return this.parts[number] as Part;
  }

  #knowResult(row: number, part: number, place: number, result: unknown): void {
    if (!(row in this.#results)) throw new TypeError(`there is no row ${row}`);
    this.#results[row] = place;
    this.#resultParts[row] = part;
    const { type, error } = isRecord(result) ? result : {};
    this.kinds[row] = String(type);
    const said = isRecord(error) && isRecord(error.error) ? error.error.type : undefined;
    this.passing[row] = MAY_PASS.includes(said);
  }

  #part({ part }: Line | Record<string, unknown>): Part {
    const found = this.parts[Number(part)];
    if (!found) throw new TypeError(`there is no part ${part}`);
    return found;
  }
}

/** Return rows, which ascend, as ranges with both ends. */
function rangesOf(rows: readonly number[]): Array<[number, number]> {
  const found: Array<[number, number]> = [];
  for (const row of rows) {
    const last = found.at(-1);
    if (last && last[1] === row - 1) last[1] = row;
    else found.push([row, row]);
  }
  return found;
}

function rowsIn(ranges: unknown, count: number): number[] {
  const rows: number[] = [];
  for (const [first, last] of ranges as Array<[number, number]>) {
    if (!(first >= 0 && last < count)) throw new TypeError(`it has rows of ${first} to ${last}`);
    for (let row = first; row <= last; row++) rows.push(row);
  }
  return rows;
}
