import { describe, expect, test } from "vitest";
import * as sdk from "../src/index.ts";
import { Limiter, type LimiterOptions, LimiterTimeoutError, readLimits } from "../src/limiter.ts";
import { Queue, type Waiter } from "../src/limits/queue.ts";
import {
  ASK,
  caught,
  ending,
  failure,
  json,
  MESSAGE,
  SteppedClock,
  served,
  start,
  streaming,
} from "./support.ts";

type Limits = Partial<Record<"requests" | "input-tokens", number>>;

/** A server whose limits are buckets that refill all the time; what it refuses is counted. */
class Limited {
  refusals = 0;
  readonly order: string[] = [];
  readonly #limits: Array<[string, number]>;
  readonly #levels: Map<string, number> = new Map();
  readonly #clock: SteppedClock;
  #at = 0;
  #seed = 7;

  constructor(limits: Limits, clock: SteppedClock) {
    this.#limits = Object.entries(limits);
    this.#clock = clock;
    for (const [kind, limit] of this.#limits) this.#levels.set(kind, limit);
  }

  /** Answer, after a way that takes up to 0.8 seconds there and 3 back. */
  fetch: sdk.Fetch = async (_url, init) => {
    const body = String(init.body);
    await this.#clock.sleep(this.#chance() * 800);
    const answer = this.#answer(body);
    await this.#clock.sleep(this.#chance() * 3000);
    return answer;
  };

  #answer(body: string): Response {
    const passed = this.#clock.time - this.#at;
    this.#at = this.#clock.time;
    const headers: Record<string, string> = {};
    const amounts: Record<string, number> = { requests: 1, "input-tokens": body.length / 4 };
    let longest = 0;
    for (const [kind, limit] of this.#limits) {
      const level = Math.min(limit, (this.#levels.get(kind) ?? 0) + (passed * limit) / 60_000);
      this.#levels.set(kind, level);
      const missing = Math.min(amounts[kind] ?? 0, limit) - level;
      longest = Math.max(longest, (missing / limit) * 60);
    }
    for (const [kind, limit] of this.#limits) {
      const left = (this.#levels.get(kind) ?? 0) - (longest > 0 ? 0 : (amounts[kind] ?? 0));
      this.#levels.set(kind, left);
      headers[`anthropic-ratelimit-${kind}-limit`] = String(limit);
      headers[`anthropic-ratelimit-${kind}-remaining`] = String(Math.max(0, Math.floor(left)));
    }
    if (longest > 0) {
      this.refusals++;
      headers["retry-after"] = String(Math.ceil(longest));
      return failure(429, "rate_limit_error", headers);
    }
    this.order.push(/number (\d+)/.exec(body)?.[1] ?? "");
    const usage = { input_tokens: Math.ceil(body.length / 4), output_tokens: 5 };
    return json({ ...MESSAGE, usage }, 200, headers);
  }

  #chance(): number {
    this.#seed = (this.#seed * 48_271) % 2_147_483_647;
    return this.#seed / 2_147_483_647;
  }
}

async function race(limits: Limits, tasks: number, limiters: LimiterOptions[], retries = 0) {
  const clock = new SteppedClock();
  const server = new Limited(limits, clock);
  const clients = limiters.map(
    (options) =>
      new sdk.Antiphon({
        apiKey: "k",
        baseURL: "http://server",
        clock,
        fetch: server.fetch,
        limiter: new Limiter(options),
        maxRetries: retries,
        logLevel: "off",
      }),
  );
  const asked = Array.from({ length: tasks }, (_, number) => {
    const content = `number ${number} ${"x".repeat(number % 40)}`;
    const client = clients[number % clients.length] as sdk.Antiphon;
    return client.messages.create({ ...ASK, messages: [{ role: "user", content }] });
  });
  await clock.until(Promise.all(asked));
  return { server, seconds: clock.time / 1000, waiting: clock.waiting };
}

describe("a limiter", () => {
  test.each([
    ["says the limit", { requestsPerMinute: 300 }],
    ["lets it be learned", {}],
  ])("that %s finishes a thousand tasks without a refusal", async (_, options) => {
    const { server, seconds, waiting } = await race({ requests: 300 }, 1000, [options]);
    expect(server.refusals).toBe(0);
    // The first 300 go at once, and the limit itself takes 140 seconds for the others.
    expect(seconds).toBeGreaterThan(140);
    expect(seconds).toBeLessThan(150);
    expect(waiting).toBe(0);
  });

  test("keeps limits of tokens as well", async () => {
    const limits = { requests: 200, "input-tokens": 3000 };
    const said = { requestsPerMinute: 200, inputTokensPerMinute: 3000 };
    const { server } = await race(limits, 300, [said]);
    expect(server.refusals).toBe(0);
  });

  test("sends calls in their order", async () => {
    const { server } = await race({ requests: 60 }, 160, [{ requestsPerMinute: 60 }]);
    // They travel for less than a second, and each goes a second after the one before.
    const late = server.order.slice(60).map((one, place) => Math.abs(place + 60 - Number(one)));
    expect(Math.max(...late)).toBeLessThanOrEqual(2);
  });

  test("without limits lets nobody wait", async () => {
    const { seconds } = await race({}, 500, [{}]);
    expect(seconds).toBeLessThan(15);
  });

  test("shares a limit with other programs, by few refusals", async () => {
    const { server, seconds } = await race(
      { requests: 100 },
      400,
      [{ burst: 0.2 }, { burst: 0.2 }],
      20,
    );
    expect(server.refusals).toBeLessThan(20);
    expect(seconds).toBeLessThan(300);
  });

  test("holds everybody behind a refusal, as long as the server says", async () => {
    const limiter = new Limiter({ requestsPerMinute: 600 });
    const refused = failure(429, "rate_limit_error", { "retry-after": "4" });
    const { client, clock } = served([refused, json(MESSAGE)], { limiter, maxRetries: 0 });
    await caught(client.messages.create(ASK));
    await clock.until(client.messages.create(ASK));
    expect(clock.time).toBeGreaterThanOrEqual(4000);
    expect(clock.time).toBeLessThan(4300);
  });

  test("does not send a call that would wait too long, nor keep its place", async () => {
    const limiter = new Limiter({ requestsPerMinute: 2, timeout: 10_000 });
    const { client, sent, clock } = served(
      Array(3).fill(() => json(MESSAGE)),
      { limiter },
    );
    await client.messages.create(ASK);
    await client.messages.create(ASK);
    const error = await caught(client.messages.create(ASK));
    expect(error).toBeInstanceOf(LimiterTimeoutError);
    expect(error).toBeInstanceOf(sdk.APIConnectionTimeoutError);
    expect(error.message).toMatch(/its turn would come after \d+ s, and the limiter allows 10 s/);
    expect(sent).toHaveLength(2);
    clock.time += 22_000;
    await clock.until(client.messages.create(ASK));
    expect(clock.time).toBeLessThan(33_000);
    expect(clock.waiting).toBe(0);
  });

  test("gives the places of aborted calls to others", async () => {
    const limiter = new Limiter({ requestsPerMinute: 1 });
    const { client, sent, clock } = served(
      Array(2).fill(() => json(MESSAGE)),
      { limiter },
    );
    await client.messages.create(ASK);
    const controller = new AbortController();
    const aborted = Array.from({ length: 5 }, () =>
      caught(client.messages.create(ASK, { signal: controller.signal })),
    );
    setTimeout(() => controller.abort(), 5);
    for (const error of await Promise.all(aborted)) {
      expect(error).toBeInstanceOf(sdk.APIUserAbortError);
    }
    expect([sent.length, clock.waiting]).toEqual([1, 0]);
    await clock.until(client.messages.create(ASK));
    expect(clock.time).toBeLessThan(62_000);
  });

  test("lets those before aborted calls go no sooner", async () => {
    const limiter = new Limiter({ requestsPerMinute: 60 });
    const { client, sent, clock } = served(
      Array(100).fill(() => json(MESSAGE)),
      { limiter },
    );
    await Promise.all(Array.from({ length: 60 }, () => client.messages.create(ASK)));
    const before = Array.from({ length: 5 }, () => client.messages.create(ASK));
    const controller = new AbortController();
    const aborted = Array.from({ length: 30 }, () =>
      caught(client.messages.create(ASK, { signal: controller.signal })),
    );
    const behind = client.messages.create(ASK);
    setTimeout(() => controller.abort(), 5);
    await Promise.all(aborted);
    await clock.until(Promise.all(before));
    // A second for each.
    expect(clock.time).toBeGreaterThan(4900);
    await clock.until(behind);
    // It asks each five seconds whether it has moved up.
    expect([sent.length, clock.time < 10_100]).toEqual([66, true]);
  });

  test("is not held by calls that are lost before the first answer", async () => {
    const lost = () => new TypeError("fetch failed");
    const answers = [...Array(4).fill(0).map(lost), ...Array(3).fill(() => json(MESSAGE))];
    const { client, clock } = served(answers, { limiter: new Limiter(), maxRetries: 0 });
    const calls = Array.from({ length: 7 }, () => client.messages.create(ASK));
    const ended = await clock.until(Promise.allSettled(calls));
    expect(ended.filter(({ status }) => status === "fulfilled")).toHaveLength(3);
  });

  test("is held by no refusal longer than a minute, and by no answer of a proxy", async () => {
    const year = failure(429, "rate_limit_error", { "retry-after": "31536000" });
    const answers = [year, new Response("<html>", { status: 502 }), json(MESSAGE)];
    const { client, clock } = served(answers, { limiter: new Limiter(), maxRetries: 0 });
    await caught(client.messages.create(ASK));
    await caught(clock.until(client.messages.create(ASK)));
    await clock.until(client.messages.create(ASK));
    expect(clock.time).toBe(60_000);
  });

  test("takes no time of a call's own", async () => {
    const limiter = new Limiter({ requestsPerMinute: 1 });
    const { client, clock } = served(
      Array(3).fill(() => json(MESSAGE)),
      { limiter, timeout: 5000 },
    );
    for (let count = 0; count < 3; count++) await clock.until(client.messages.create(ASK));
    expect(clock.time).toBeGreaterThan(100_000);
  });

  test("learns what a stream has used at its end", async () => {
    const waited = async (output: number): Promise<number> => {
      const limiter = new Limiter({ outputTokensPerMinute: 600 });
      const [change, stop] = ending("end_turn") as [object, object];
      const usage = { input_tokens: null, output_tokens: output };
      const events = [start(), { ...change, usage }, stop];
      const answers = [streaming(events), json(MESSAGE)];
      const { client, clock } = served(answers, { limiter });
      const ask = { ...ASK, max_tokens: 590 };
      await client.messages.stream(ask).done();
      await clock.until(client.messages.create(ask));
      return clock.time;
    };
    expect(await waited(10)).toBe(0);
    expect(await waited(590)).toBeGreaterThan(40_000);
  });

  test("is not undone by a call whose `max_tokens` is none, or by a usage that no model has", async () => {
    const limiter = new Limiter({ requestsPerMinute: 60_000, outputTokensPerMinute: 600 });
    const usages = [
      '{"input_tokens":1e999,"output_tokens":1}',
      '{"output_tokens":1e300}',
      '{"output_tokens":"x"}',
    ];
    const told = usages.map(
      (usage) => new Response(`{"type":"message","content":[],"usage":${usage}}`),
    );
    const answers = [
      failure(400, "invalid_request_error"),
      ...told,
      ...Array(3).fill(() => json(MESSAGE)),
    ];
    const { client, clock } = served(answers, { limiter, maxRetries: 0 });
    await caught(client.messages.create({ ...ASK, max_tokens: {} as never }));
    const ask = { ...ASK, max_tokens: 500 };
    for (const _ of usages) await clock.until(client.messages.create(ask));
    const before = clock.time;
    await clock.until(client.messages.create(ask));
    const one = clock.time - before;
    // Neither without a wait, nor for hours: each of them counts as what it might have used.
    expect([one > 40_000, one < 70_000]).toEqual([true, true]);
  });

  test("forgets twenty thousand calls that are aborted at once", () => {
    const costs = { requests: 1, "input-tokens": 10, "output-tokens": 0 };
    const queue = new Queue({ requests: 60, "input-tokens": 1e9 }, 1, 0);
    const waiting = Array.from({ length: 20_000 }, () => queue.enter(costs, 0));
    const behind = queue.enter(costs, 0);
    const [first, ...others] = waiting;
    expect(queue.ask(first as Waiter, 0)).toBe(0);
    const began = performance.now();
    for (const one of others.reverse()) queue.leave(one);
    expect(queue.wait(behind, 0)).toBe(0);
    // Each of them for itself would take ten seconds and more.
    expect(performance.now() - began).toBeLessThan(1500);
  });

  test("lets models stand alone, unless they share a limit", async () => {
    const times: number[] = [];
    for (const group of [undefined, () => "all"]) {
      const limiter = new Limiter({ requestsPerMinute: 1, group });
      const { client, clock } = served(
        Array(2).fill(() => json(MESSAGE)),
        { limiter },
      );
      await client.messages.create({ ...ASK, model: "a" });
      await clock.until(client.messages.create({ ...ASK, model: "b" }));
      times.push(clock.time);
    }
    expect([times[0], (times[1] ?? 0) > 50_000]).toEqual([0, true]);
  });

  test("counts other endpoints by themselves, and those without a limit not at all", async () => {
    const full = {
      "anthropic-ratelimit-requests-limit": "2",
      "anthropic-ratelimit-requests-remaining": "0",
    };
    const answers = [
      ...Array(3).fill(() => json({})),
      json({}, 200, full),
      json({}),
      json(MESSAGE),
    ];
    const { client, clock } = served(answers, { limiter: new Limiter({ requestsPerMinute: 1 }) });
    for (let count = 0; count < 3; count++) await client.models.retrieve("m");
    await client.messages.batches.retrieve("b");
    await clock.until(client.messages.batches.retrieve("b"));
    expect(clock.time).toBeGreaterThan(25_000);
    const before = clock.time;
    await clock.until(client.messages.create(ASK));
    expect(clock.time).toBe(before);
  });

  test("lets a lost call be sent again", async () => {
    const limiter = new Limiter({ requestsPerMinute: 60 });
    const { client, clock, sent } = served([new TypeError("fetch failed"), json(MESSAGE)], {
      limiter,
    });
    await clock.until(client.messages.create(ASK));
    expect(sent).toHaveLength(2);
  });

  test("refuses numbers that cannot be, and headers that are none", () => {
    for (const wrong of [{ requestsPerMinute: 0 }, { burst: 0 }, { burst: 2 }]) {
      expect(() => new Limiter(wrong)).toThrow(/more than 0/);
    }
    for (const limit of ["many", "0", "-1", "1e300"]) {
      const told = {
        "anthropic-ratelimit-requests-limit": limit,
        "anthropic-ratelimit-requests-remaining": "1",
      };
      expect(readLimits(new Headers(told))).toEqual({});
    }
  });
});
