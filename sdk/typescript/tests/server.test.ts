// Against a running server on the scripted engine. The tests of the repository start it.

import { describe, expect, test } from "vitest";
import * as z from "zod";
import { type MapResult, map } from "../src/batches.ts";
import { fetchWithBreakpoints } from "../src/cache.ts";
import { costOf } from "../src/cost.ts";
import * as sdk from "../src/index.ts";
import { Limiter } from "../src/limiter.ts";
import { formatOf, partialValueIn, valueIn } from "../src/output.ts";
import { caught, collect } from "./support.ts";

declare const process: { env: Record<string, string | undefined> };

const {
  ANTIPHON_TEST_URL: baseURL,
  ANTIPHON_TEST_KEY: apiKey,
  ANTIPHON_TEST_ADMIN: adminKey,
} = process.env;
const model = "claude-opus-5-5";

function asked(content: string): sdk.MessageCreateParamsNonStreaming {
  return { model, max_tokens: 64, messages: [{ role: "user", content }] };
}

/** Return what a call gives once the server knows of what it asks for. */
async function eventually<T>(call: () => PromiseLike<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof sdk.NotFoundError) || tries > 200) throw error;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
}

describe.skipIf(!baseURL)("on a server", () => {
  const client = new sdk.Antiphon({ baseURL, apiKey, adminKey, maxRetries: 0 });

  test("a message is answered, with the sampling parameters that callers want", async () => {
    const { data, requestId } = await client.messages
      .create({ ...asked("Hi"), temperature: 0, top_k: 5, top_p: 0.9 })
      .withResponse();
    expect(data.content).toMatchObject([{ type: "text" }]);
    expect(data.usage.output_tokens).toBeGreaterThan(0);
    expect(requestId).toMatch(/^req_/);
  });

  test("a stream and a whole message are the same answer", async () => {
    const whole = await client.messages.create(asked("Hi"));
    const stream = client.messages.stream(asked("Hi"));
    const texts = await collect(stream.textStream);
    const message = await stream.finalMessage();
    expect({ ...message, id: "" }).toEqual({ ...whole, id: "" });
    expect(texts.join("")).toBe(await stream.finalText());
    const long = await client.messages.create({ ...asked("Hi"), max_tokens: 100_000 });
    expect({ ...long, id: "" }).toEqual({ ...whole, id: "" });
  });

  test("errors are of their class, before a stream and in it", async () => {
    const unknown = (await caught(
      client.messages.create({ ...asked("Hi"), model: "gpt-1" }),
    )) as sdk.APIStatusError;
    expect(unknown).toBeInstanceOf(sdk.NotFoundError);
    expect(unknown.message).toMatch(/^404 not_found_error: model: gpt-1.* \(req_\w+\)$/);
    const late = (await caught(
      client.messages.stream(asked("break off")).finalMessage(),
    )) as sdk.APIStatusError;
    expect(late).toBeInstanceOf(sdk.InternalServerError);
    expect([late.type, late.requestId]).toEqual(["api_error", expect.stringMatching(/^req_/)]);
    const stranger = client.withOptions({ apiKey: "wrong" });
    expect(await caught(stranger.messages.create(asked("Hi")))).toBeInstanceOf(
      sdk.AuthenticationError,
    );
    const overloaded = await caught(client.messages.create(asked("be overloaded")));
    expect(overloaded).toBeInstanceOf(sdk.OverloadedError);
  });

  test("a stream of pings ends with its idle time, and a call with its own", async () => {
    const stream = client.messages.stream(asked("be slow"), { idleTimeout: 900 });
    const idle = await caught(stream.finalMessage());
    expect(idle).toBeInstanceOf(sdk.APIConnectionTimeoutError);
    expect(idle.message).toContain("nothing but pings");
    const late = await caught(client.messages.create(asked("be slow"), { timeout: 200 }));
    expect(late).toBeInstanceOf(sdk.APIConnectionTimeoutError);
  });

  test("a stream is ended by its caller", async () => {
    const controller = new AbortController();
    const stream = client.messages.stream(asked("go on"), { signal: controller.signal });
    stream.on("text", () => controller.abort());
    expect(await caught(stream.finalMessage())).toBeInstanceOf(sdk.APIUserAbortError);
  });

  test("tools run until the model is done", async () => {
    const weather = sdk.tool({
      name: "weather",
      description: "The weather of a city.",
      inputSchema: z.object({ city: z.string() }),
      run: ({ city }) => `It rains in ${city}.`,
    });
    const runner = client.messages.toolRunner({ ...asked("use the weather"), tools: [weather] });
    const last = await runner;
    expect(runner.messages).toMatchObject([
      { role: "user" },
      {
        role: "assistant",
        content: [{ type: "text" }, { type: "tool_use", input: { city: "Paris" } }],
      },
      { role: "user", content: [{ type: "tool_result", content: "It rains in Paris." }] },
      { role: "assistant" },
    ]);
    expect(last.content).toMatchObject([{ text: "Take an umbrella." }]);
  });

  test("an answer is a value of a schema", async () => {
    const Person = z.object({
      name: z.string().min(1).max(40),
      age: z.int().min(0).optional(),
      tags: z.array(z.enum(["a", "b"])).max(2),
    });
    const message = await client.messages.parse({ ...asked("a person"), output_format: Person });
    expect(Person.parse(message.parsed_output)).toEqual(message.parsed_output);
  });

  test("prompts are counted, models listed, and files kept", async () => {
    const { messages } = asked("Hi");
    const { input_tokens } = await client.messages.countTokens({ model, messages });
    expect(input_tokens).toBe((await client.messages.create(asked("Hi"))).usage.input_tokens);
    const [listed] = await collect(client.models.list({ limit: 1 }));
    expect(await client.models.retrieve(model)).toEqual(listed);
    const upload = { file: "Grass.", filename: "grass.txt", expires_in_seconds: 3600 };
    const file = await client.files.upload(upload);
    // In the shape of today, which the types have.
    expect(file.expires_at).toMatch(/^20\d\d-/);
    expect((await client.files.list()).body).toHaveProperty("next_page", null);
    expect(await client.files.retrieveMetadata(file.id)).toEqual(file);
    expect((await collect(client.files.list())).map(({ id }) => id)).toContain(file.id);
    expect((await client.files.delete(file.id)).id).toBe(file.id);
  });

  test("a batch is made once, waited for and read", async () => {
    const requests = [
      { custom_id: "good", params: asked("Hi") },
      { custom_id: "wrong", params: { ...asked("Hi"), max_tokens: -1 } },
    ];
    const once = { idempotencyKey: "vitest" };
    const { batches } = client.messages;
    const { id } = await batches.create({ requests }, once);
    expect((await batches.create({ requests }, once)).id).toBe(id);
    const seen: string[] = [];
    const ended = await batches.wait(id, {
      pollInterval: 100,
      onProgress: ({ processing_status }) => seen.push(processing_status),
    });
    expect([ended.request_counts.succeeded, ended.request_counts.errored]).toEqual([1, 1]);
    expect(seen.at(-1)).toBe("ended");
    const results = await collect(batches.results(id));
    expect(Object.fromEntries(results.map((one) => [one.custom_id, one.result.type]))).toEqual({
      good: "succeeded",
      wrong: "errored",
    });
    expect((await collect(batches.list())).map((one) => one.id)).toContain(id);
    expect((await batches.delete(id)).id).toBe(id);
  });

  test("a map answers its rows, and what they cost is what was charged", async () => {
    const rows = ["one", "two", "three"];
    const found: MapResult[] = [];
    const options = { partRequests: 2, firstPause: 50, longestPause: 200 };
    for await (const one of map(client, asked, rows, options)) found.push(one);
    expect(found.map(({ row, ok }) => [row, ok])).toEqual([0, 1, 2].map((row) => [row, true]));
    expect(found[0]?.message.usage.service_tier).toBe("batch");
    for (const [message, share] of [
      [await client.messages.create(asked("Hi")), 1],
      [found[0]?.message as sdk.Message, 0.5],
    ] as const) {
      const { total } = costOf(message);
      const { input_tokens, output_tokens } = message.usage;
      expect(total).toBe((input_tokens * 4000 + output_tokens * 20_000) * share);
      const id = sdk.requestIdOf(message);
      if (!id) continue;
      // The log is written a moment later.
      const told = await eventually(() => client.organization.explainRequest(id));
      expect(Number(told.cost?.amount) * 1e7).toBeCloseTo(total, 3);
    }
  });

  // A machine that others keep busy may send a call a second late, and so over its limit.
  const busy = { retry: 3, timeout: 30_000 };
  test("calls over a key's limits are refused, and with a limiter none is", busy, async () => {
    const { apiKeys, rateLimits } = client.organization;
    const limits = [{ type: "requests_per_minute" as const, value: 120 }];
    const { id } = (await rateLimits.list({ model })).data[0] as sdk.RateLimit;
    const refused: number[] = [];
    for (const limiter of [undefined, new Limiter()]) {
      const key = await apiKeys.create({ name: `limited ${refused.length}` });
      await apiKeys.rateLimits(key.id).set(id, { limits });
      const own = client.withOptions({ apiKey: key.secret, limiter });
      const calls = Array.from({ length: 123 }, () => own.messages.create(asked("Hi")));
      const failed = (await Promise.allSettled(calls)).filter((one) => one.status === "rejected");
      for (const { reason } of failed) expect(reason).toBeInstanceOf(sdk.RateLimitError);
      refused.push(failed.length);
    }
    expect(refused).toEqual([expect.toSatisfy((count) => count > 0), 0]);
  });

  test("prompts are kept where nobody has set a breakpoint", async () => {
    const kept = client.withOptions({ fetch: fetchWithBreakpoints() });
    const content = crypto.randomUUID() + "A long beginning. ".repeat(400);
    const { usage } = await kept.messages.create(asked(content));
    expect(usage.cache_creation_input_tokens).toBeGreaterThan(1000);
    const again = await kept.messages.create(asked(content));
    expect(again.usage.cache_read_input_tokens).toBe(usage.cache_creation_input_tokens);
  });

  test("a value grows in a stream", async () => {
    const Person = z.object({ name: z.string().min(1).max(40), tags: z.array(z.enum(["a", "b"])) });
    const ask = { ...asked("a person"), output_config: { format: formatOf(Person) } };
    const stream = client.messages.stream(ask);
    let grown: unknown;
    for await (const _ of stream.textStream) grown = partialValueIn(stream.snapshot) ?? grown;
    const person = await valueIn(await stream.finalMessage(), Person);
    expect(grown).toEqual(person);
    expect(partialValueIn({ content: [{ type: "text", text: '{"a": "b' }] as never })).toEqual({
      a: "b",
    });
    expect(partialValueIn(undefined)).toBeUndefined();
  });

  test("an administrator makes, rotates and ends keys, and reads reports", async () => {
    const { organization } = client;
    const key = await organization.apiKeys.create({ name: "vitest" });
    expect(key.secret).toBeTruthy();
    const mine = client.withOptions({ apiKey: key.secret });
    expect((await mine.messages.create(asked("Hi"))).role).toBe("assistant");
    const rotated = await organization.apiKeys.rotate(key.id, { grace_period_seconds: 0 });
    expect(await caught(mine.messages.create(asked("Hi")))).toBeInstanceOf(sdk.AuthenticationError);
    expect(rotated.secret).not.toBe(key.secret);
    const renamed = await organization.apiKeys.update(key.id, { name: "vitest 2" });
    expect(renamed.name).toBe("vitest 2");
    expect((await organization.apiKeys.archive(key.id)).status).toBe("archived");
    const workspace = await organization.workspaces.create({ name: "vitest" });
    const names = (await collect(organization.workspaces.list({ limit: 1 }))).map(
      ({ name }) => name,
    );
    expect(names).toContain("vitest");
    await organization.workspaces.archive(workspace.id);
    const since = { starting_at: new Date(Date.now() - 86_400_000) };
    expect((await collect(organization.usageReport(since))).length).toBeGreaterThan(0);
    expect((await collect(organization.costReport(since))).length).toBeGreaterThan(0);
    expect((await organization.retrieve()).type).toBe("organization");
    for (const list of [
      organization.users.list(),
      organization.invites.list(),
      organization.rateLimits.list(),
      organization.spendLimits.list(),
      organization.balances(),
      organization.auditLog(),
      organization.requests(),
    ]) {
      expect((await list).data).toBeInstanceOf(Array);
    }
  });
});
