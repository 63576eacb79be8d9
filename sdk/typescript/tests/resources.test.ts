import { describe, expect, test, vi } from "vitest";
import { readEnvironment } from "../src/environment.ts";
import * as sdk from "../src/index.ts";
import { levelled } from "../src/log.ts";
import { type Answer, ASK, caught, collect, failure, json, MESSAGE, served } from "./support.ts";

const batch = (processing_status: string) => ({ id: "msgbatch_1", processing_status });

describe("lists", () => {
  const pages: Answer[] = [
    json({ data: [{ id: "a" }, { id: "b" }], has_more: true, first_id: "a", last_id: "b" }),
    json({ data: [{ id: "c" }], has_more: false, first_id: "c", last_id: "c" }),
  ];

  test("by ids walk to their end, either way", async () => {
    const { client, sent } = served([...pages]);
    const ids = (await collect(client.models.list({ limit: 2 }))).map(({ id }) => id);
    expect(ids).toEqual(["a", "b", "c"]);
    expect(sent.map(({ url }) => url.search)).toEqual(["?limit=2", "?limit=2&after_id=b"]);
    const back = served([
      json({ data: [{ id: "b" }], has_more: true, first_id: "b", last_id: "b" }),
      json({ data: [], has_more: false }),
    ]);
    await collect(back.client.models.list({ before_id: "c" }));
    expect(back.sent.map(({ url }) => url.search)).toEqual(["?before_id=c", "?before_id=b"]);
  });

  test("by cursors walk to their end", async () => {
    const { client, sent } = served([
      json({ data: [1], next_page: "p" }),
      json({ data: [2], next_page: null }),
    ]);
    expect(await collect(client.files.list({ page: "o" }))).toEqual([1, 2]);
    expect(sent.map(({ url }) => url.search)).toEqual(["?page=o", "?page=p"]);
  });

  test("give their first page, and the next", async () => {
    const { client } = served([
      json({ data: [1], next_page: "p" }),
      json({ data: [2], next_page: null }),
    ]);
    const page = await client.files.list();
    expect([page.data, page.hasMore, page.body.next_page]).toEqual([[1], true, "p"]);
    const next = await page.nextPage();
    expect([next?.data, next?.hasMore, await next?.nextPage()]).toEqual([[2], false, null]);
  });

  test("write dates and lists as the API reads them", async () => {
    const { client, sent } = served([json({ data: [], has_more: false, next_page: null })]);
    await client.organization.usageReport({
      starting_at: new Date(0),
      group_by: ["model", "api_key_id"],
    });
    expect(decodeURIComponent(sent[0]?.url.search ?? "")).toBe(
      "?starting_at=1970-01-01T00:00:00.000Z&group_by[]=model&group_by[]=api_key_id",
    );
  });
});

describe("ids", () => {
  test("may hold anything but nothing", async () => {
    const { client, sent } = served([json({})]);
    await client.models.retrieve("owner/model x");
    expect(sent[0]?.url.pathname).toBe("/v1/models/owner%2Fmodel%20x");
    for (const id of ["", ".", ".."]) expect(() => client.models.retrieve(id)).toThrow(TypeError);
  });
});

describe("an organization", () => {
  test("is asked with the admin key, if there is one", async () => {
    const { client, sent } = served([json({}), json({}), json(MESSAGE)], { adminKey: "admin" });
    await client.organization.apiKeys.rotate("k", { grace_period_seconds: 60 });
    await client.organization.workspaces.members.remove("w", "u");
    await client.messages.create(ASK);
    expect(sent.map(({ headers }) => headers.get("x-api-key"))).toEqual([
      "admin",
      "admin",
      "secret-key",
    ]);
    expect(sent.map(({ method, url }) => `${method} ${url.pathname}`).slice(0, 2)).toEqual([
      "POST /v1/organizations/api_keys/k/rotate",
      "DELETE /v1/organizations/workspaces/w/members/u",
    ]);
  });
});

describe("batches", () => {
  test("are created once, however often it is tried", async () => {
    const { client, sent, clock } = served([failure(500, "x"), json(batch("in_progress"))]);
    await clock.until(
      client.messages.batches.create({ requests: [{ custom_id: "a", params: ASK }] }),
    );
    const keys = sent.map(({ headers }) => headers.get("idempotency-key"));
    expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/);
    expect(keys[1]).toBe(keys[0]);
  });

  test("are waited for through errors of the network and a first 404", async () => {
    const lost = () => new TypeError("fetch failed");
    const { client, clock } = served(
      [
        failure(404, "not_found_error"),
        json(batch("in_progress")),
        lost(),
        failure(529, "overloaded_error"),
        json(batch("in_progress")),
        json(batch("ended")),
      ],
      { maxRetries: 0 },
    );
    const seen: string[] = [];
    const ended = await clock.until(
      client.messages.batches.wait("b", {
        onProgress: ({ processing_status }) => seen.push(processing_status),
        pollInterval: 3000,
      }),
    );
    expect(ended.processing_status).toBe("ended");
    expect(seen).toEqual(["in_progress", "in_progress", "ended"]);
    expect(clock.time).toBe(500 + 1000 + 2000 + 3000 * 2);
    expect(clock.waiting).toBe(0);
  });

  test("that are not there are waited for no longer than a minute", async () => {
    const { client, sent, clock } = served(
      Array(20)
        .fill(0)
        .map(() => failure(404, "not_found_error")),
    );
    const error = await caught(clock.until(client.messages.batches.wait("b")));
    expect(error).toBeInstanceOf(sdk.NotFoundError);
    expect(clock.time).toBeGreaterThanOrEqual(60_000);
    const gone = served([json(batch("in_progress")), failure(404, "not_found_error")]);
    expect(await caught(gone.clock.until(gone.client.messages.batches.wait("b")))).toBeInstanceOf(
      sdk.NotFoundError,
    );
    expect(sent.length).toBeLessThan(12);
  });

  test("are waited for until the signal comes", async () => {
    const { client, clock } = served([json(batch("in_progress"))]);
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 5);
    const error = await caught(client.messages.batches.wait("b", { signal: controller.signal }));
    expect(error).toBeInstanceOf(sdk.APIUserAbortError);
    expect(clock.waiting).toBe(0);
  });

  const line = (custom_id: string) =>
    `${JSON.stringify({ custom_id, result: { type: "expired" } })}\n`;
  const lines = (text: string, error?: Error): Response => {
    const bytes = new TextEncoder().encode(text);
    return new Response(
      new ReadableStream({
        start(controller) {
          for (let at = 0; at < bytes.length; at += 7)
            controller.enqueue(bytes.subarray(at, at + 7));
          if (error) setTimeout(() => controller.error(error));
          else controller.close();
        },
      }),
      { headers: { "request-id": "req_1" } },
    );
  };

  test("give each result once, though the connection is lost", async () => {
    const { client, clock } = served([
      lines(line("a") + line("ä").slice(0, 10), new TypeError("terminated")),
      lines(line("ä") + line("a") + line("c").trim()),
    ]);
    const found = await clock.until(collect(client.messages.batches.results("b")));
    expect(found.map(({ custom_id }) => custom_id)).toEqual(["a", "ä", "c"]);
  });

  test("give up results that bring nothing new", async () => {
    const broken = () => lines(line("a"), new TypeError("terminated"));
    const { client, sent, clock } = served([broken(), broken(), broken(), broken()]);
    expect(await caught(clock.until(collect(client.messages.batches.results("b"))))).toBeInstanceOf(
      sdk.APIConnectionError,
    );
    expect([sent.length, clock.time]).toEqual([3, 1500]);
    const other = served([lines("<html>\n")]);
    const error = await caught(collect(other.client.messages.batches.results("b")));
    expect(error).toBeInstanceOf(sdk.APIResponseValidationError);
  });
});

describe("files", () => {
  test("are uploaded as forms", async () => {
    const { client, sent } = served([json({ id: "file_1" })]);
    await client.files.upload({ file: "Grass.", filename: "grass.txt", expires_in_seconds: 60 });
    const form = sent[0]?.body as FormData;
    const file = form.get("file") as File;
    expect([file.name, file.type, await file.text()]).toEqual([
      "grass.txt",
      "text/plain",
      "Grass.",
    ]);
    expect(form.get("expires_in_seconds")).toBe("60");
    expect(sent[0]?.headers.has("content-type")).toBe(false);
  });
});

describe("keys", () => {
  test("are created and rotated once, also by a call that is repeated", async () => {
    const key = () => json({ id: "k" });
    const lost = () => failure(500, "x");
    const { client, sent, clock } = served([lost(), key(), lost(), key(), key()]);
    const { apiKeys } = client.organization;
    await clock.until(apiKeys.create({ name: "a" }));
    await clock.until(apiKeys.rotate("k"));
    await apiKeys.create({ name: "a" }, { idempotencyKey: "mine" });
    const keys = sent.map(({ headers }) => headers.get("idempotency-key"));
    expect(keys[1]).toBe(keys[0]);
    expect(keys[3]).toBe(keys[2]);
    expect(new Set(keys).size).toBe(3);
    expect(keys[4]).toBe("mine");
  });
});

describe("the environment", () => {
  test("of ours comes before that of others", () => {
    const said = readEnvironment(
      {
        ANTIPHON_API_KEY: "ours",
        ANTHROPIC_API_KEY: "theirs",
        ANTIPHON_BASE_URL: " ",
        ANTHROPIC_BASE_URL: "http://x/v1/",
        ANTHROPIC_CUSTOM_HEADERS: "X-A: 1\n\nx-b:2: 3",
      },
      false,
    );
    expect(said.apiKey).toBe("ours");
    expect(said.headers).toEqual({ "x-a": "1", "x-b": "2: 3" });
    expect(new sdk.Antiphon({ baseURL: said.baseURL, apiKey: "k" }).baseURL).toBe("http://x");
    const noHeader = { ANTHROPIC_CUSTOM_HEADERS: "secret" };
    expect(() => readEnvironment(noHeader, true)).toThrow(/line 1 is not/);
  });

  test("of others says no key to a server that nobody named", async () => {
    const theirs = {
      ANTHROPIC_API_KEY: "theirs",
      ANTHROPIC_AUTH_TOKEN: "theirs",
      ANTHROPIC_ADMIN_KEY: "theirs",
      ANTHROPIC_CUSTOM_HEADERS: "x-api-key: theirs",
    };
    const unnamed = readEnvironment({ ...theirs, ANTIPHON_ADMIN_KEY: "ours" }, false);
    expect(JSON.stringify(unnamed)).not.toContain("theirs");
    expect(unnamed.adminKey).toBe("ours");
    for (const named of [
      readEnvironment(theirs, true),
      readEnvironment({ ...theirs, ANTHROPIC_BASE_URL: "http://x" }, false),
    ]) {
      expect([named.apiKey, named.adminKey, named.keptBack]).toEqual(["theirs", "theirs", []]);
    }
    vi.stubEnv("ANTHROPIC_API_KEY", "theirs");
    const sent = vi.fn<typeof fetch>();
    await expect(new sdk.Antiphon({ fetch: sent }).models.list()).rejects.toThrow(
      /ANTHROPIC_API_KEY is not sent to a server that nobody has named/,
    );
    expect(sent).not.toHaveBeenCalled();
    vi.unstubAllEnvs();
  });

  test("that names no address leaves the server on this machine", () => {
    for (const name of ["ANTIPHON_BASE_URL", "ANTHROPIC_BASE_URL"]) vi.stubEnv(name, "");
    expect(new sdk.Antiphon({ apiKey: "k" }).baseURL).toBe("http://127.0.0.1:8000");
    vi.unstubAllEnvs();
  });

  test("that must not be read counts as empty", () => {
    const closed = new Proxy(
      {},
      {
        get: () => {
          throw new Error("denied");
        },
      },
    );
    expect(readEnvironment(closed, true).apiKey).toBeUndefined();
  });
});

describe("a client", () => {
  test("refuses what cannot be meant", () => {
    expect(() => new sdk.Antiphon({ baseURL: "localhost:1" })).toThrow(/http/);
    expect(() => new sdk.Antiphon({ apiKey: "a", authToken: "b" })).toThrow(/not both/);
    // Without the key in it.
    expect(() => new sdk.Antiphon({ apiKey: "secret\n" })).toThrow(
      new TypeError("the header x-api-key has a character that no header can have"),
    );
    expect(() => new sdk.Antiphon({ timeout: 0 })).toThrow(/more than 0/);
    expect(() => new sdk.Antiphon({ logLevel: "loud" as "info" })).toThrow(/log level/);
  });

  test("can be had with other options", async () => {
    const { client, sent } = served([json(MESSAGE), json(MESSAGE)]);
    await client.withOptions({ apiKey: undefined, authToken: "t" }).messages.create(ASK);
    expect(sent[0]?.headers.get("authorization")).toBe("Bearer t");
  });

  test("logs neither keys nor texts", async () => {
    const lines: string[] = [];
    const log = (text: string): void => void lines.push(text);
    const logger = { error: log, warn: log, info: log, debug: log };
    const { client, clock } = served([failure(429, "rate_limit_error"), json(MESSAGE)], {
      logger,
      logLevel: "debug",
    });
    await clock.until(client.messages.create(ASK));
    expect(lines).toEqual([
      "429 rate_limit_error: No. (req_1). Again in 500 ms",
      "POST /v1/messages: 200 (req_1)",
    ]);
    levelled("warn", logger).info("quiet");
    expect(lines).toHaveLength(2);
  });
});
