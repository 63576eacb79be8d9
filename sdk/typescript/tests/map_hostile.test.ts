import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type MapResult, map } from "../src/batches.ts";
import * as sdk from "../src/index.ts";
import { FileStore } from "../src/node.ts";
import { ASK, caught, json, MESSAGE, SteppedClock } from "./support.ts";

const asked = () => ({ ...ASK, messages: [{ role: "user" as const, content: "?" }] });
const COUNTS = { processing: 0, succeeded: 2, errored: 0, canceled: 0, expired: 0 };
const BATCH = { id: "b", processing_status: "ended", request_counts: COUNTS };
const GOOD = { type: "succeeded", message: MESSAGE };

/** What a server says in place of good answers. */
interface Says {
  create?: unknown;
  look?: unknown;
  /** The lines of the results of the first and the later readings, by the ids of the requests. */
  lines?: (ids: string[], reading: number) => unknown[];
}

class Server {
  readonly clock: SteppedClock = new SteppedClock();
  readonly calls: string[] = [];
  readonly client: sdk.Antiphon;
  #ids: string[] = [];

  constructor(says: Says) {
    let readings = 0;
    this.client = new sdk.Antiphon({
      apiKey: "k",
      baseURL: "http://server",
      clock: this.clock,
      random: () => 0,
      logLevel: "off",
      fetch: async (url, init) => {
        if (init.signal?.aborted) throw init.signal.reason;
        const { pathname } = new URL(url);
        this.calls.push(`${init.method} ${pathname}`);
        if (pathname.endsWith("/batches")) {
          const { requests } = JSON.parse(String(init.body)) as { requests: sdk.BatchRequest[] };
          this.#ids = requests.map(({ custom_id }) => custom_id);
          return json("create" in says ? (says.create as object) : BATCH);
        }
        if (!pathname.endsWith("/results"))
          return json("look" in says ? (says.look as object) : BATCH);
        const all = this.#ids.map((custom_id) => ({ custom_id, result: GOOD }));
        const lines = says.lines?.(this.#ids, ++readings) ?? all;
        return new Response(lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
      },
    });
  }

  async run(options: Parameters<typeof map>[3] = {}): Promise<MapResult[]> {
    const found: MapResult[] = [];
    const rows = map(this.client, asked, ["a", "b"], { onProgress: () => {}, ...options });
    await this.clock.until(
      (async () => {
        for await (const one of rows) found.push(one);
      })(),
    );
    return found;
  }
}

const NONSENSE = [null, [], {}, "words", 7, { ...BATCH, id: "" }, { ...BATCH, id: 7 }];

test.each(NONSENSE)(
  "a batch that is none ends the map with an error of the API: %j",
  async (said) => {
    for (const says of [{ create: said }, { look: said }]) {
      const error = await caught(new Server(says).run());
      expect(error).toBeInstanceOf(sdk.APIResponseValidationError);
    }
  },
);

test("counts that are none are told as well", async () => {
  for (const request_counts of [null, undefined, "two", []]) {
    const error = await caught(new Server({ look: { ...BATCH, request_counts } }).run());
    expect(error).toBeInstanceOf(sdk.APIResponseValidationError);
  }
});

test("a result that is none is one that lacks, and is asked for again", async () => {
  const bad = [
    null,
    7,
    {},
    { result: GOOD },
    { custom_id: "x", result: GOOD },
    { custom_id: "id" },
    { custom_id: "id", result: null },
    { custom_id: "id", result: {} },
    { custom_id: "id", result: { type: "succeeded" } },
    { custom_id: "id", result: { type: "succeeded", message: "words" } },
    { custom_id: "id", result: { type: "errored" } },
  ];
  for (const line of bad) {
    const server = new Server({
      lines: ([first, second], reading) => {
        const isNamed = line instanceof Object && "custom_id" in line && line.custom_id === "id";
        const told = isNamed ? { ...line, custom_id: first } : line;
        const result = reading > 1 ? { custom_id: first, result: GOOD } : told;
        return [result, { custom_id: second, result: GOOD }];
      },
    });
    const found = await server.run();
    expect(found.map((one) => one.message.id)).toEqual([MESSAGE.id, MESSAGE.id]);
    expect(server.calls.filter((call) => call.endsWith("/results"))).toHaveLength(2);
  }
});

test("results that come twice count once, and results of nobody not at all", async () => {
  const late = { type: "errored", error: { type: "error", error: { type: "api_error" } } };
  const server = new Server({
    lines: ([first, second]) => [
      { custom_id: first, result: GOOD },
      { custom_id: first, result: late },
      { custom_id: "__proto__", result: late },
      { custom_id: second, result: { type: "of a later release" } },
    ],
  });
  const found = await server.run();
  expect(found.map((one) => [one.row, one.ok])).toEqual([
    [0, true],
    [1, false],
  ]);
});

test("a map that is aborted before it has sent anything sends nothing", async () => {
  const server = new Server({});
  const error = await caught(server.run({ signal: AbortSignal.abort("no") }));
  expect(error).toBeInstanceOf(sdk.APIUserAbortError);
  const abort = new AbortController();
  const later = map(
    server.client,
    () => {
      abort.abort();
      return asked();
    },
    ["a"],
    { signal: abort.signal },
  );
  expect(await caught(later.next())).toBeInstanceOf(sdk.APIUserAbortError);
  expect(server.calls).toEqual([]);
});

test("a store that another map has stays with that one", async () => {
  const store = new FileStore(join(mkdtempSync(join(tmpdir(), "antiphon-map-")), "rows.map"));
  const server = new Server({});
  const rows = map(server.client, asked, ["a", "b"], { store });
  expect((await server.clock.until(rows.next())).value?.row).toBe(0);
  expect((await caught(server.run({ store }))).message).toMatch(/another map works/);
  expect((await rows.next()).value?.row).toBe(1);
  expect((await rows.next()).done).toBe(true);
});

test("an abort at any call leaves no rejection that nobody sees", async () => {
  const unseen: unknown[] = [];
  const note = (reason: unknown): number => unseen.push(reason);
  process.on("unhandledRejection", note);
  try {
    for (let at = 1; at <= 4; at++) {
      for (const cancelOnAbort of [true, false]) {
        const abort = new AbortController();
        const server = new Server({ look: { ...BATCH, processing_status: "in_progress" } });
        const push = server.calls.push.bind(server.calls);
        server.calls.push = (call) => {
          if (push(call) === at) abort.abort();
          return server.calls.length;
        };
        const error = await caught(server.run({ signal: abort.signal, cancelOnAbort }));
        expect(error).toBeInstanceOf(sdk.APIUserAbortError);
      }
    }
    await new Promise((resolve) => setTimeout(resolve));
    expect(unseen).toEqual([]);
  } finally {
    process.off("unhandledRejection", note);
  }
});
