// Servers and models that keep no rule.

import { describe, expect, test } from "vitest";
import * as sdk from "../src/index.ts";
import {
  ASK,
  caught,
  ending,
  failure,
  frame,
  json,
  MESSAGE,
  type Sent,
  served,
  start,
  streaming,
  textEvents,
} from "./support.ts";

const CALL = { type: "tool_use", id: "toolu_1", name: "n", input: {} };

function raw(text: string): (sent: Sent) => Response {
  return () => new Response(text, { headers: { "content-type": "text/event-stream" } });
}

function finalMessage(answer: (sent: Sent) => Response): Promise<sdk.Message> {
  return served([answer], { maxRetries: 0 }).client.messages.stream(ASK).finalMessage();
}

function called(...pieces: string[]): object[] {
  return [
    start(),
    { type: "content_block_start", index: 0, content_block: CALL },
    ...pieces.map((partial_json) => ({
      type: "content_block_delta",
      index: 0,
      delta: { type: "input_json_delta", partial_json },
    })),
    { type: "content_block_stop", index: 0 },
    ...ending("max_tokens"),
  ];
}

describe("an input of a tool", () => {
  test.each([
    ['{"city": "Par', { city: "Par" }],
    ['{"a": 1, "b": tru', { a: 1 }],
    ["", {}],
    ['{"a": nonsense, "b": 1}', { INVALID_JSON: '{"a": nonsense, "b": 1}' }],
    ['{"a": 1} and more', { INVALID_JSON: '{"a": 1} and more' }],
    ["[1, 2]", { INVALID_JSON: "[1, 2]" }],
    ['{"a": "\\q"}', { INVALID_JSON: '{"a": "\\q"}' }],
  ])("that is %s ends no stream", async (text, input) => {
    const { client } = served([streaming(called(text))]);
    const stream = client.messages.stream(ASK);
    stream.on("event", () => stream.input(0));
    expect((await stream.finalMessage()).content).toEqual([{ ...CALL, input }]);
  });

  test("that is deeper than the stack ends no stream", async () => {
    const text = '{"a":'.repeat(100_000);
    const message = await finalMessage(streaming(called(text)));
    expect(message.content).toEqual([{ ...CALL, input: { INVALID_JSON: text } }]);
  });
});

describe("a stream without rules", () => {
  const [begun, block, delta, stop, end, last] = textEvents("Hello") as [
    object,
    object,
    object,
    object,
    object,
    object,
  ];

  test.each<[string, object[]]>([
    ["a second message_start", [begun, begun]],
    ["content_block_start before message_start", [block]],
    ["message_stop before message_start", [last]],
    ["content block 0 has not been started", [begun, delta]],
    ["content block -1 has not been started", [begun, block, { ...delta, index: -1 }]],
    ["content block 4294967294 starts", [begun, { ...block, index: 4294967294 }]],
    ["content block __proto__ has", [begun, block, { ...delta, index: "__proto__" }]],
    ["content block 0 starts out", [begun, { type: "content_block_start", index: 0 }]],
    ["message_start lacks", [{ type: "message_start", message: null }]],
    ["no text", [begun, block, { ...delta, delta: { type: "text_delta", text: 1 } }]],
  ])("fails with: %s", async (why, events) => {
    const error = await caught(finalMessage(streaming([...events, end, last])));
    expect(error).toBeInstanceOf(sdk.APIResponseValidationError);
    expect(error.message).toContain(why.split(" starts")[0]);
    expect((error as sdk.APIError).requestId).toBe("req_1");
    expect(Object.keys(Array.prototype)).toEqual([]);
  });

  test.each(["<html>", "null", "[]", '"text"', "{}"])("fails at an event of %s", async (data) => {
    const text = `${frame(begun)}data: ${data}\n\n`;
    expect(await caught(finalMessage(raw(text)))).toBeInstanceOf(sdk.APIResponseValidationError);
  });

  test("ends with its last event, whatever follows", async () => {
    const more = [{ ...delta, delta: { type: "text_delta", text: "?" } }, last, begun];
    const text = [begun, block, delta, stop, end, last, ...more].map(frame).join("");
    expect((await finalMessage(raw(text))).content).toEqual([
      { type: "text", text: "Hello", citations: [] },
    ]);
  });

  test("may lack the last line break, and say nothing between", async () => {
    const text = `\uFEFF${[begun, block, delta, stop, end, last].map(frame).join("data: [DONE]\n\n: hm\n\ndata:  \n\n")}`;
    expect((await finalMessage(raw(text.trimEnd()))).stop_reason).toBe("end_turn");
  });

  test("may have no usage", async () => {
    const message = { ...MESSAGE, content: [], usage: null };
    const events = [
      { type: "message_start", message },
      block,
      delta,
      { ...end, usage: null },
      last,
    ];
    expect((await finalMessage(streaming(events))).usage).toEqual({});
  });

  test("sets no prototype", async () => {
    const bad = JSON.parse('{"type":"later","__proto__":{"polluted":1}}');
    const text = [
      start(),
      block,
      { ...delta, delta: bad },
      { ...end, delta: bad, usage: bad },
      last,
    ]
      .map(frame)
      .join("");
    const message = await finalMessage(raw(text));
    for (const part of [message, message.usage, message.content[0], {}]) {
      expect((part as { polluted?: number }).polluted).toBeUndefined();
    }
  });
});

describe("a call", () => {
  test("does not send as null what is no number", async () => {
    const { client, sent } = served([json(MESSAGE)]);
    for (const temperature of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const error = await caught(client.messages.create({ ...ASK, temperature }));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toContain("`temperature` is no finite number");
    }
    await client.messages.create({ ...ASK, metadata: { user_id: null } });
    expect(sent.map(({ body }) => body)).toEqual([{ ...ASK, metadata: { user_id: null } }]);
  });

  test.each([0, -1, Number.NaN])("has no time of %s", async (timeout) => {
    const { client } = served([json(MESSAGE)]);
    const error = await caught(client.messages.create(ASK, { timeout }));
    expect(error.message).toContain(`a timeout is ${timeout}`);
  });

  test("without bounds does not wait for years", async () => {
    const late = failure(429, "rate_limit_error", { "retry-after": "1000000000" });
    const { client, sent } = served([late, json(MESSAGE)], { timeout: null });
    const error = await caught(client.messages.create(ASK));
    expect(error).toBeInstanceOf(sdk.RateLimitError);
    expect(error.message).toContain("the server asks for a wait of 1000000000 s");
    expect(sent.length).toBe(1);
  });

  test.each([
    "http://user:s3cret@host",
    "ftp://user:s3cret@host",
    "user:s3cret@host/v1",
    "http://host/?a=b",
    "http://host/#a",
  ])("has no address %s", (baseURL) => {
    let message = "";
    try {
      new sdk.Antiphon({ baseURL, apiKey: "k" });
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toContain("baseURL");
    expect(message).not.toContain("s3cret");
  });
});
