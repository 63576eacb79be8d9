import { describe, expect, test } from "vitest";
import { fetchWithBreakpoints, withBreakpoints } from "../src/cache.ts";
import { addCosts, costOf, listPrice, price, UnknownPriceError } from "../src/cost.ts";
import type * as sdk from "../src/index.ts";
import { flatRows } from "../src/reports.ts";
import { ASK, collect, json, MESSAGE, served } from "./support.ts";

function used(model: string, usage: object): sdk.Message {
  return { ...MESSAGE, model, usage: { input_tokens: 0, output_tokens: 0, ...usage } } as never;
}

describe("the cost of an answer", () => {
  test("is what the price page says, with or without a date", () => {
    const tokens = { input_tokens: 1_000_000, output_tokens: 1_000_000 };
    const cost = costOf(used("claude-sonnet-4-5-20250929", tokens));
    expect([cost.input, cost.output, cost.usd]).toEqual([3e9, 15e9, 18]);
    expect(listPrice("claude-opus-5-5-latest")).toEqual(listPrice("claude-opus-5-5"));
  });

  test("counts the cache, batches, searches, places and speed", () => {
    const cost = costOf(
      used("claude-sonnet-4-5", {
        cache_read_input_tokens: 1000,
        cache_creation: { ephemeral_5m_input_tokens: 100, ephemeral_1h_input_tokens: 200 },
        service_tier: "batch",
        server_tool_use: { web_search_requests: 3 },
      }),
    );
    expect(cost.cacheRead).toBe(1000 * 150);
    expect(cost.cacheWrite).toBe((100 * 3750 + 200 * 6000) / 2);
    expect(cost.webSearch).toBe(30_000_000);
    const fast = { input_tokens: 10, inference_geo: "us", speed: "fast" };
    expect(costOf(used("claude-opus-5-5", fast)).input).toBe(10 * 4000 * 2 * 1.1);
  });

  test("of a model without a published price needs one", () => {
    const message = used("qwen", { input_tokens: 10, cache_read_input_tokens: 10 });
    expect(() => costOf(message)).toThrow(UnknownPriceError);
    expect(() => costOf(used("constructor", {}))).toThrow(/no price of "constructor"/);
    const own = { qwen: price({ input: "0.3", output: 2 }) };
    expect(costOf(message, own)).toMatchObject({ input: 3000, cacheRead: 300, total: 3300 });
    expect(price({ input: 0.28, output: 0 }).input).toBe(280);
    for (const wrong of ["", "much", -1, 10_001, "0.0001", Number.NaN]) {
      expect(() => price({ input: wrong, output: 1 })).toThrow(TypeError);
    }
  });

  test("of what a server does not count is nothing", () => {
    const usage = { input_tokens: null, output_tokens: undefined, cache_creation: {} };
    expect(costOf(used("claude-sonnet-4-5", usage)).total).toBe(0);
    const some = { input_tokens: null, output_tokens: 2, cache_read_input_tokens: null };
    expect(costOf(used("claude-sonnet-4-5", some)).total).toBe(30_000);
  });

  test("can be added", () => {
    const one = costOf(used("claude-sonnet-4-5", { input_tokens: 1 }));
    expect(addCosts([one, one])).toEqual({ ...one, input: 6000, total: 6000, usd: 0.000006 });
  });
});

const CONVERSATION = {
  system: "You are.",
  tools: [
    { name: "a", input_schema: {} },
    { name: "later", input_schema: {}, defer_loading: true },
  ],
  messages: [
    { role: "user" as const, content: "one" },
    { role: "assistant" as const, content: "two" },
    { role: "user" as const, content: "three" },
  ],
};
const MARK = { cache_control: { type: "ephemeral" } };

describe("breakpoints that nobody sets", () => {
  test("stand behind tools, system and two turns", () => {
    const before = structuredClone(CONVERSATION);
    const made = withBreakpoints(CONVERSATION);
    const [first, , third] = made.messages;
    expect(made.tools.map((tool) => "cache_control" in tool)).toEqual([true, false]);
    expect(made.system).toEqual([{ type: "text", text: "You are.", ...MARK }]);
    expect(first?.content).toEqual([{ type: "text", text: "one", ...MARK }]);
    expect(third?.content).toEqual([{ type: "text", text: "three", ...MARK }]);
    expect(CONVERSATION).toEqual(before);
  });

  test("leave what the program has marked alone", () => {
    const own = { ...CONVERSATION, cache_control: { type: "ephemeral" as const } };
    expect(withBreakpoints(own)).toBe(own);
    const deep = [{ type: "tool_result", content: [{ type: "text", text: "x", ...MARK }] }];
    const inner = { messages: [{ role: "user", content: deep }] } as never;
    expect(withBreakpoints(inner)).toBe(inner);
  });

  test("are in every prompt of a client, and in nothing else", async () => {
    const bodies: Array<{ messages?: object[] }> = [];
    const through: sdk.Fetch = async (_, { body }) => {
      bodies.push(JSON.parse(String(body)));
      return json(MESSAGE);
    };
    const { client } = served([]);
    const marked = client.withOptions({ fetch: fetchWithBreakpoints("1h", through) });
    await marked.messages.create(ASK);
    await marked.messages.countTokens({ model: "m", messages: ASK.messages });
    await marked.messages.batches.create({ requests: [{ custom_id: "a", params: ASK }] });
    const hour = { cache_control: { type: "ephemeral", ttl: "1h" } };
    const content = [{ type: "text", text: "Hi", ...hour }];
    expect(bodies[0]?.messages).toEqual([{ role: "user", content }]);
    expect(bodies[1]?.messages).toEqual([{ role: "user", content }]);
    expect(bodies[2]).toEqual({ requests: [{ custom_id: "a", params: ASK }] });
  });
});

describe("a report", () => {
  test("is flat rows", async () => {
    const bucket = { starting_at: "a", ending_at: "b" };
    const pages = [
      json({
        data: [{ ...bucket, results: [{ cache: { read: 1 }, model: null }] }],
        next_page: "p",
      }),
      json({ data: [{ ...bucket, results: [] }], next_page: null }),
    ];
    const { client } = served(pages);
    const report = client.organization.usageReport({ starting_at: "a" });
    expect(await collect(flatRows(report))).toEqual([{ ...bucket, "cache.read": 1, model: null }]);
  });
});
