import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  MapFileError,
  MapFileInUseError,
  type MapOptions,
  type MapProgress,
  type MapResult,
  type MapStore,
  MemoryStore,
  map,
  RowCanceledError,
  RowChangedError,
  RowExpiredError,
} from "../src/batches.ts";
import * as sdk from "../src/index.ts";
import { FileStore } from "../src/node.ts";
import { ASK, caught, failure, json, MESSAGE, SteppedClock } from "./support.ts";

const asked = (row: string) => ({ ...ASK, messages: [{ role: "user" as const, content: row }] });
const ROWS = Array.from({ length: 7 }, (_, number) => `row ${number}`);

interface Made {
  id: string;
  created_at: string;
  requests: sdk.BatchRequest[];
  key: string | null;
  looks: number;
  isCanceled: boolean;
}

/** A server of batches: each ends when it was looked at twice. */
class BatchServer {
  readonly clock: SteppedClock = new SteppedClock();
  readonly made: Made[] = [];
  readonly calls: string[] = [];
  /** What comes in place of an answer, by the number of the call. */
  faults: Map<number, "lost" | "late" | Response> = new Map();
  keepsKeys = true;
  /** The result of a row in place of a message. */
  resultOf: (content: string, tries: number) => object | undefined = () => undefined;
  readonly #tries: Map<string, number> = new Map();
  hangs = false;

  readonly client: sdk.Antiphon = this.clientAt("http://server");

  clientAt(baseURL: string): sdk.Antiphon {
    return new sdk.Antiphon({
      apiKey: "k",
      baseURL,
      clock: this.clock,
      random: () => 0,
      logLevel: "off",
      fetch: async (url, init) => {
        if (init.signal?.aborted) throw init.signal.reason;
        const { pathname } = new URL(url);
        const number = this.calls.push(`${init.method} ${pathname}`);
        const fault = this.faults.get(number);
        if (fault instanceof Response) return fault;
        // The answer of what is "late" is lost: the server has done it.
        const answer = fault === "lost" ? undefined : this.#answer(pathname, init);
        if (fault || !answer) throw new TypeError("fetch failed");
        return answer;
      },
    });
  }

  #answer(pathname: string, init: RequestInit): Response {
    const [, , , , id, verb] = pathname.split("/");
    if (id === undefined) {
      return init.method === "POST"
        ? this.#create(init)
        : json({ data: [...this.made].reverse().map(told), has_more: false });
    }
    const batch = this.made.find((one) => one.id === id) as Made;
    if (verb === "results") return this.#results(batch);
    if (verb === "cancel") batch.isCanceled = true;
    else if (!this.hangs) batch.looks++;
    return json(told(batch));
  }

  #create(init: RequestInit): Response {
    const key = new Headers(init.headers).get("idempotency-key");
    const known = this.keepsKeys && this.made.find((one) => one.key === key);
    if (known) return json(told(known));
    const { requests } = JSON.parse(String(init.body));
    const created_at = new Date(this.clock.wall()).toISOString();
    const id = `msgbatch_${this.made.length}`;
    this.made.push({ id, created_at, requests, key, looks: 0, isCanceled: false });
    return json(told(this.made.at(-1) as Made));
  }

  #results(batch: Made): Response {
    const lines = batch.requests.map(({ custom_id, params }) => {
      const content = String(params.messages[0]?.content);
      const tries = (this.#tries.get(content) ?? 0) + 1;
      this.#tries.set(content, tries);
      const message = { ...MESSAGE, content: [{ type: "text", text: content }] };
      const result = batch.isCanceled
        ? { type: "canceled" }
        : (this.resultOf(content, tries) ?? { type: "succeeded", message });
      return `${JSON.stringify({ custom_id, result })}\n`;
    });
    return new Response(lines.reverse().join(""));
  }

  run(options: MapOptions, rows: Iterable<string> = ROWS): Promise<MapResult[]> {
    return this.clock.until(
      (async () => {
        const found: MapResult[] = [];
        for await (const one of map(this.client, asked, rows, options)) found.push(one);
        return found;
      })(),
    );
  }

  get sent(): string[] {
    return this.made.flatMap(({ requests }) =>
      requests.map(({ params }) => String(params.messages[0]?.content)),
    );
  }
}

function told({ id, requests, looks, isCanceled, created_at }: Made): object {
  const hasEnded = isCanceled || looks >= 2;
  const left = { processing: requests.length, succeeded: 0, errored: 0, canceled: 0, expired: 0 };
  return {
    id,
    created_at,
    processing_status: hasEnded ? "ended" : "in_progress",
    request_counts: hasEnded ? { ...left, processing: 0, succeeded: requests.length } : left,
  };
}

const textOf = (one: MapResult): unknown => one.message.content[0];

describe("a map", () => {
  test("answers every row, in the order of the rows", async () => {
    const server = new BatchServer();
    const told: MapProgress[] = [];
    const found = await server.run({ partRequests: 3, onProgress: (one) => void told.push(one) });
    expect(found.map(textOf)).toEqual(ROWS.map((text) => ({ type: "text", text })));
    expect(found.map(({ row, tries, ok }) => [row, tries, ok])).toEqual(
      ROWS.map((_, row) => [row, 1, true]),
    );
    expect(server.made.map(({ requests }) => requests.length)).toEqual([3, 3, 1]);
    const { key } = server.made[0] as Made;
    expect(key).toMatch(/^map-[0-9a-f]{12}-0$/);
    expect(told.at(-1)).toEqual({
      rows: 7,
      sent: 7,
      succeeded: 7,
      errored: 0,
      canceled: 0,
      expired: 0,
      batches: [],
    });
  });

  test("takes rows that come one by one, and gives results as they come", async () => {
    const server = new BatchServer();
    async function* rows(): AsyncGenerator<string> {
      yield* ROWS;
    }
    const found: number[] = [];
    const options = { partRequests: 2, ordered: false, openParts: 2 };
    await server.clock.until(
      (async () => {
        for await (const { row } of map(server.client, asked, rows(), options)) found.push(row);
      })(),
    );
    expect(found.sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  test("makes batches no larger than they may be", async () => {
    const server = new BatchServer();
    await server.run({ partBytes: 300 });
    for (const { requests } of server.made) {
      expect(JSON.stringify({ requests }).length).toBeLessThanOrEqual(300);
    }
    expect(server.sent).toEqual(ROWS);
  });

  test("outlasts lost connections, a full server and one that is away", async () => {
    const server = new BatchServer();
    server.faults = new Map<number, "lost" | "late" | Response>([
      [1, "late"],
      [2, failure(429, "rate_limit_error")],
      [4, failure(404, "not_found_error")],
      [5, "lost"],
      [6, failure(529, "overloaded_error")],
      [9, "lost"],
    ]);
    expect(await server.run({})).toHaveLength(7);
    expect(server.made).toHaveLength(1);
    expect(server.clock.waiting).toBe(0);
  });

  test("gives up a server that never answers after a minute", async () => {
    const server = new BatchServer();
    for (let number = 1; number < 99; number++) server.faults.set(number, "lost");
    expect(await caught(server.run({}))).toBeInstanceOf(sdk.APIConnectionError);
    expect(server.clock.time).toBeGreaterThanOrEqual(60_000);
    expect(server.clock.time).toBeLessThan(120_000);
  });

  test("tries rows again that may pass, in other batches", async () => {
    const server = new BatchServer();
    const error = (type: string): object => ({
      type: "errored",
      error: { type: "error", request_id: "req_9", error: { type, message: "No." } },
    });
    server.resultOf = (content, tries) => {
      if (content === "row 1") return tries < 3 ? error("overloaded_error") : undefined;
      if (content === "row 2") return error("invalid_request_error");
      return content === "row 4" ? { type: "expired" } : undefined;
    };
    const found = await server.run({ retries: 2 });
    expect(found.map(({ tries }) => tries)).toEqual([1, 3, 1, 1, 3, 1, 1]);
    expect(found[1]?.ok).toBe(true);
    const refused = found[2]?.error as sdk.APIStatusError;
    expect(refused).toBeInstanceOf(sdk.BadRequestError);
    expect([refused.status, refused.requestId]).toEqual([400, "req_9"]);
    expect(() => found[2]?.message).toThrow("400 invalid_request_error: No. (req_9)");
    expect(found[4]?.error).toBeInstanceOf(RowExpiredError);
    expect(server.made.map(({ requests }) => requests.length)).toEqual([7, 2, 2]);
  });

  test("takes ids of the program, once each", async () => {
    const server = new BatchServer();
    const collect = async (ids: string[]): Promise<string[]> => {
      const found: string[] = [];
      const ask = (id: string) => [id, asked(id)] as [string, typeof ASK];
      for await (const one of map(server.client, ask, ids)) found.push(one.custom_id);
      return found;
    };
    expect(await server.clock.until(collect(["b", "a"]))).toEqual(["b", "a"]);
    expect((await caught(collect(["a", "a"]))).message).toMatch(
      /another row has the custom_id "a"/,
    );
    expect((await caught(collect(["a b"]))).message).toMatch(/1 to 64 letters/);
  });

  test("refuses options that cannot be", async () => {
    const server = new BatchServer();
    for (const wrong of [{ partRequests: 0 }, { retries: -1 }, { firstPause: 40_000 }]) {
      expect(await caught(map(server.client, asked, ROWS, wrong).next())).toBeInstanceOf(TypeError);
    }
  });
});

/** Keeps what was appended, or only what was synced, when its program is killed. */
class KillableStore implements MapStore {
  readonly kept: string[] = [];
  lines: string[] = [];
  stepsLeft: number;
  readonly #isForgetful: boolean;

  constructor(steps: number, isForgetful: boolean) {
    this.stepsLeft = steps;
    this.#isForgetful = isForgetful;
  }

  async *open(): AsyncGenerator<[number, string]> {
    this.lines = [...this.kept];
    yield* this.lines.entries();
  }

  append(line: string): number {
    this.#step();
    if (!this.#isForgetful) this.kept.push(line);
    return this.lines.push(line) - 1;
  }

  async read(place: number): Promise<string> {
    return this.lines[place] as string;
  }

  async sync(): Promise<void> {
    this.#step();
    this.kept.splice(0, this.kept.length, ...this.lines);
    this.#step();
  }

  async close(): Promise<void> {}

  #step(): void {
    if (this.stepsLeft-- === 0) throw new Error("killed");
  }
}

describe("a map that is killed", () => {
  test.each([true, false])("anywhere sends each row once (forgetful: %s)", async (isForgetful) => {
    for (let kills = 0, step = 0; ; step++) {
      const server = new BatchServer();
      const store = new KillableStore(step, isForgetful);
      const error = await server.run({ store, partRequests: 3 }).catch((one) => one);
      if (!(error instanceof Error)) {
        expect(kills).toBeGreaterThan(20);
        return;
      }
      kills++;
      store.stepsLeft = -1;
      const found = await server.run({ store, partRequests: 3 });
      expect(found.map(({ row }) => row)).toEqual([0, 1, 2, 3, 4, 5, 6]);
      expect(server.sent.sort()).toEqual(ROWS);
    }
  });

  test("while its create is on its way finds the batch where no keys are kept", async () => {
    const server = new BatchServer();
    server.keepsKeys = false;
    const store = new MemoryStore();
    const client = server.clientAt("https://api.anthropic.com");
    // Others' batches: of another size, and of other ids.
    for (const rows of [["x"], ROWS]) {
      const requests = rows.map((row, number) => ({
        custom_id: `o-${number}`,
        params: asked(row),
      }));
      await server.clock.until(client.messages.batches.create({ requests }));
    }
    server.faults.set(3, "late");
    const run = async (): Promise<number> => {
      let count = 0;
      for await (const { ok } of map(client, asked, ROWS, { store })) count += Number(ok);
      return count;
    };
    expect(await server.clock.until(run())).toBe(7);
    expect(server.made).toHaveLength(3);
  });

  test("and is finished gives its results without a call", async () => {
    const server = new BatchServer();
    const store = new MemoryStore();
    const first = await server.run({ store });
    const calls = server.calls.length;
    expect(await server.run({ store })).toEqual(first);
    expect(server.calls).toHaveLength(calls);
    // Rows may be added, and none may change or be missing.
    expect(await server.run({ store }, [...ROWS, "more"])).toHaveLength(8);
    expect(server.sent).toEqual([...ROWS, "more"]);
    const changed = await caught(server.run({ store }, ["other"]));
    expect(changed).toBeInstanceOf(RowChangedError);
    expect((changed as RowChangedError).row).toBe(0);
    expect((await caught(server.run({ store }, ["row 0"]))).message).toMatch(/end after 1/);
    const elsewhere = map(server.clientAt("http://other"), asked, ROWS, { store });
    expect((await caught(elsewhere.next())).message).toContain("its batches are at http://server");
  });
});

describe("a map that is aborted", () => {
  test.each([
    [{ store: undefined }, true],
    [{ store: new MemoryStore() }, false],
    [{ store: new MemoryStore(), cancelOnAbort: true }, true],
  ])("cancels what is open: %#", async (options, isCanceled) => {
    const server = new BatchServer();
    server.hangs = true;
    const controller = new AbortController();
    server.clock.timer(5000, () => controller.abort());
    const run = server.run({ ...options, signal: controller.signal });
    expect(await caught(run)).toBeInstanceOf(sdk.APIUserAbortError);
    expect(server.made.map((one) => one.isCanceled)).toEqual([isCanceled]);
    expect(server.clock.waiting).toBe(0);
  });

  test("asks for its cancelled rows again in the next run", async () => {
    const server = new BatchServer();
    server.hangs = true;
    const store = new MemoryStore();
    const controller = new AbortController();
    server.clock.timer(5000, () => controller.abort());
    await caught(server.run({ store, cancelOnAbort: true, signal: controller.signal }));
    server.hangs = false;
    expect((await server.run({ store })).every(({ ok }) => ok)).toBe(true);
    expect(server.made).toHaveLength(2);
    const other = new BatchServer();
    other.made.push();
    other.resultOf = () => ({ type: "canceled" });
    expect((await other.run({}, ["a"]))[0]?.error).toBeInstanceOf(RowCanceledError);
  });
});

describe("a file of a map", () => {
  const path = (): string => join(mkdtempSync(join(tmpdir(), "antiphon-map-")), "rows.map");

  test("is continued, with its torn last line cut off", async () => {
    const server = new BatchServer();
    const file = path();
    const first = await server.run({ store: new FileStore(file), partRequests: 3 });
    const text = readFileSync(file, "utf-8");
    const lines = text.trimEnd().split("\n");
    expect(JSON.parse(lines[0] as string)).toMatchObject({ type: "map", version: 1 });
    // As if the program had been killed anywhere, also in the middle of a character.
    for (let length = 0; length < text.length; length += 97) {
      writeFileSync(file, text.slice(0, length));
      const again = new BatchServer();
      again.made.push(...server.made.map((made) => ({ ...made, looks: 2 })));
      if (length < (lines[0]?.length ?? 0) + 1) continue;
      const found = await again.run({ store: new FileStore(file), partRequests: 3 });
      expect(found).toEqual(first);
      expect(again.made).toHaveLength(server.made.length);
    }
  });

  test("is of one map at a time, and left by a killed one", async () => {
    const server = new BatchServer();
    const file = path();
    const store = new FileStore(file);
    const running = map(server.client, asked, ROWS, { store });
    const first = server.clock.until(running.next());
    expect((await first).value?.row).toBe(0);
    const other = map(server.client, asked, ROWS, { store: new FileStore(file) });
    expect(await caught(other.next())).toBeInstanceOf(MapFileInUseError);
    expect(await caught(map(server.client, asked, ROWS, { store }).next())).toBeInstanceOf(
      MapFileInUseError,
    );
    await running.return(undefined);
    writeFileSync(`${file}.lock`, JSON.stringify({ process: 2 ** 22 + 1, began: 0 }));
    expect(await server.run({ store: new FileStore(file) })).toHaveLength(7);
  });

  test("that is none is told with its line", async () => {
    const server = new BatchServer();
    const file = path();
    writeFileSync(
      file,
      '{"type":"map","version":1,"id":"a","server":"http://server"}\n{"type":"x"}\n',
    );
    const error = await caught(server.run({ store: new FileStore(file) }));
    expect(error).toBeInstanceOf(MapFileError);
    expect(error.message).toBe('line 2 is none of a map: its type is "x"');
    writeFileSync(file, '{"type":"map","version":2}\n');
    expect((await caught(server.run({ store: new FileStore(file) }))).message).toMatch(/version 2/);
  });

  test("keeps lines that are longer than what is read and held at once", async () => {
    const store = new FileStore(path());
    for await (const _ of store.open()) throw new Error("it is new");
    const lines = ["a", "ä".repeat(3_000_000), "b"];
    const places = lines.map((line) => store.append(line));
    for (const [at, place] of places.entries()) expect(await store.read(place)).toBe(lines[at]);
    await store.sync();
    await store.close();
    await store.close();
    const found: string[] = [];
    for await (const [, line] of store.open()) found.push(line);
    await store.close();
    expect(found).toEqual(lines);
  });
});
