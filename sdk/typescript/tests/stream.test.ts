import { describe, expect, test } from "vitest";
import * as sdk from "../src/index.ts";
import { partialJson } from "../src/partial.ts";
import { EventDecoder } from "../src/sse.ts";
import {
  ASK,
  caught,
  collect,
  ending,
  failure,
  frame,
  served,
  start,
  streaming,
  textEvents,
} from "./support.ts";

describe("a stream", () => {
  test("gives its events, and the message at the end", async () => {
    const events = textEvents("One", " two");
    const { client, sent } = served([streaming(events)]);
    const stream = client.messages.stream(ASK);
    expect(await collect(stream)).toEqual(events);
    const message = await stream.finalMessage();
    expect(message.content).toEqual([{ type: "text", text: "One two", citations: [] }]);
    expect(message.stop_reason).toBe("end_turn");
    expect(message.usage).toEqual({ input_tokens: 3, output_tokens: 9 });
    expect(sent[0]?.body).toEqual({ ...ASK, stream: true });
    expect([stream.requestId, (await stream.response()).status]).toEqual(["req_1", 200]);
    expect(sdk.requestIdOf(message)).toBe("req_1");
  });

  test("of `create` is there when its answer begins", async () => {
    const { client } = served([streaming(textEvents("One"))]);
    const stream = await client.messages.create({ ...ASK, stream: true });
    expect(await stream.finalText()).toBe("One");
    const failing = served([failure(400, "invalid_request_error")]);
    const error = await caught(failing.client.messages.create({ ...ASK, stream: true }));
    expect(error).toBeInstanceOf(sdk.BadRequestError);
  });

  test("gives its texts alone", async () => {
    const { client } = served([streaming(textEvents("One", " two"))]);
    expect(await collect(client.messages.stream(ASK).textStream)).toEqual(["One", " two"]);
  });

  test("grows one message, and leaves its events as they came", async () => {
    const { client } = served([streaming(textEvents("One", " two"))]);
    const stream = client.messages.stream(ASK);
    const seen: unknown[] = [];
    for await (const event of stream) {
      if (event.type === "message_start") seen.push(event.message.content.length);
      if (event.type === "content_block_start") seen.push(event.content_block);
    }
    expect(seen).toEqual([0, { type: "text", text: "", citations: [] }]);
    expect(await stream.finalMessage()).toBe(stream.snapshot);
  });

  test("tells listeners and several readers alike", async () => {
    const { client } = served([streaming(textEvents("One", " two"))]);
    const heard: string[] = [];
    const stream = client.messages
      .stream(ASK)
      .on("text", (text) => heard.push(text))
      .on("block", (block) => heard.push(block.type));
    const [texts, events, whole] = await Promise.all([
      collect(stream.textStream),
      collect(stream),
      stream.finalText(),
    ]);
    expect([texts.join(""), events.length, whole]).toEqual(["One two", 7, "One two"]);
    expect(heard).toEqual(["One", " two", "text"]);
  });

  test("can be asked for its message inside of a loop", async () => {
    const { client } = served([streaming(textEvents("One", " two"))]);
    const stream = client.messages.stream(ASK);
    let events = 0;
    for await (const _ of stream) {
      events++;
      expect((await stream.finalMessage()).stop_reason).toBe("end_turn");
    }
    expect(events).toBe(7);
  });

  test("puts a call's input together, whole and in parts", async () => {
    const delta = (partial_json: string) => ({
      type: "content_block_delta",
      index: 0,
      delta: { type: "input_json_delta", partial_json },
    });
    const block = { type: "tool_use", id: "t", name: "add", input: {} };
    const { client } = served([
      streaming([
        start(),
        { type: "content_block_start", index: 0, content_block: block },
        delta('{"city": "Pa'),
        delta('ris", "n": 1'),
        delta("2}"),
        { type: "content_block_stop", index: 0 },
        ...ending("tool_use"),
      ]),
    ]);
    const stream = client.messages.stream(ASK);
    const inputs: unknown[] = [];
    stream.on("event", () => inputs.push(stream.input(0)));
    const { content } = await stream.finalMessage();
    expect(content).toEqual([{ ...block, input: { city: "Paris", n: 12 } }]);
    expect(inputs.slice(2, 5)).toEqual([
      { city: "Pa" },
      { city: "Paris" },
      { city: "Paris", n: 12 },
    ]);
  });

  test("keeps blocks and deltas that nobody knows", async () => {
    const { client } = served([
      streaming([
        start(),
        { type: "content_block_start", index: 0, content_block: { type: "hologram", x: 1 } },
        { type: "content_block_delta", index: 0, delta: { type: "ray_delta", light: "re" } },
        { type: "content_block_delta", index: 0, delta: { type: "ray_delta", light: "d" } },
        { type: "content_block_stop", index: 0 },
        { type: "weather", wind: 3 },
        ...ending("end_turn"),
      ]),
    ]);
    const stream = client.messages.stream(ASK);
    const events = await collect(stream);
    expect(events).toContainEqual({ type: "weather", wind: 3 });
    expect((await stream.finalMessage()).content).toEqual([
      { type: "hologram", x: 1, light: "red" },
    ]);
  });

  test("that fails tells the error with the request's id", async () => {
    const broken = [
      ...textEvents("One").slice(0, 3),
      { type: "error", error: { type: "overloaded_error", message: "Overloaded" } },
    ];
    const { client, clock } = served([streaming(broken)]);
    const stream = client.messages.stream(ASK);
    const texts: string[] = [];
    stream.on("text", (text) => texts.push(text));
    const error = (await caught(collect(stream))) as sdk.OverloadedError;
    expect(error).toBeInstanceOf(sdk.OverloadedError);
    expect([error.status, error.requestId, texts]).toEqual([529, "req_1", ["One"]]);
    expect(await caught(stream.finalMessage())).toBe(error);
    expect(clock.waiting).toBe(0);
  });

  test.each([
    ["ends early", streaming(textEvents("One").slice(0, 3)), "ended before its message did"],
    [
      "breaks off",
      streaming(textEvents("One").slice(0, 3), new TypeError("terminated")),
      "terminated",
    ],
  ])("that %s is an error of the connection", async (_, answer, words) => {
    const { client } = served([answer]);
    const error = await caught(client.messages.stream(ASK).finalMessage());
    expect(error).toBeInstanceOf(sdk.APIConnectionError);
    expect(error.message).toContain(words);
  });

  test("is repeated until it begins", async () => {
    const { client, clock } = served([failure(529, "x"), streaming(textEvents("One"))]);
    expect(await clock.until(client.messages.stream(ASK).finalText())).toBe("One");
  });

  test("that brings pings alone ends with its idle time", async () => {
    const ping = { type: "ping" };
    const { client, clock, sent } = served(
      [streaming([...textEvents("One").slice(0, 3), ping, ping], "hang")],
      {
        idleTimeout: 5000,
      },
    );
    const error = await caught(clock.until(client.messages.stream(ASK).finalMessage()));
    expect(error).toBeInstanceOf(sdk.APIConnectionTimeoutError);
    expect(error.message).toContain("nothing but pings in 5 s");
    expect([clock.time, sent[0]?.signal.aborted]).toEqual([5000, true]);
  });

  test("is not ended by a reader that takes its time", async () => {
    const { client, clock } = served([streaming(textEvents("One", "two"))], {
      timeout: 1000,
      idleTimeout: 1000,
    });
    const stream = client.messages.stream(ASK);
    for await (const _ of stream) {
      expect(clock.waiting).toBe(0);
      clock.time += 60_000;
    }
    expect(await stream.finalText()).toBe("Onetwo");
  });

  test("is closed by a loop that is left, and by `abort`", async () => {
    const { client, sent, clock } = served(
      Array(2).fill(streaming(textEvents("One").slice(0, 3), "hang")),
    );
    for await (const _ of client.messages.stream(ASK)) break;
    expect(sent[0]?.signal.aborted).toBe(true);
    const stream = client.messages.stream(ASK);
    stream.on("text", () => stream.abort());
    expect(await caught(stream.finalMessage())).toBeInstanceOf(sdk.APIUserAbortError);
    expect([sent[1]?.signal.aborted, clock.waiting]).toEqual([true, 0]);
  });

  test("is ended by a listener, though the rest is there", async () => {
    const { client } = served([
      streaming([...textEvents("One"), ...Array(1000).fill({ type: "x" })]),
    ]);
    const stream = client.messages.stream(ASK);
    stream.on("text", () => stream.abort());
    expect(await caught(stream.finalMessage())).toBeInstanceOf(sdk.APIUserAbortError);
  });

  test("lets what a listener throws through", async () => {
    const { client, sent } = served([streaming(textEvents("One"), "hang")]);
    const stream = client.messages.stream(ASK);
    const mine = new RangeError("mine");
    stream.on("text", () => {
      throw mine;
    });
    expect(await caught(stream.finalMessage())).toBe(mine);
    expect(sent[0]?.signal.aborted).toBe(true);
  });

  test("is what a long answer comes by, without its caller's notice", async () => {
    const { client, sent } = served([streaming(textEvents("One"))]);
    const message = await client.messages.create({ ...ASK, max_tokens: 100_000 });
    expect(message.content).toEqual([{ type: "text", text: "One", citations: [] }]);
    expect(sent[0]?.body).toMatchObject({ stream: true });
  });

  test("copies nothing of what has come", async () => {
    const { client } = served([streaming(textEvents("One", " two", " three"))]);
    const stream = client.messages.stream(ASK);
    const messages = new Set<unknown>();
    const blocks = new Set<unknown>();
    stream.on("text", () => {
      messages.add(stream.snapshot);
      blocks.add(stream.snapshot?.content[0]);
    });
    await stream.done();
    expect([messages.size, blocks.size]).toEqual([1, 1]);
  });
});

describe("the decoder of events", () => {
  const utf8 = new TextEncoder();
  const texts = ["plain", "ä€😀", ""];
  const events = texts.map((text) => ({ type: "x", text }));

  test.each(["\n", "\r\n", "\r"])("takes lines that end with %j, cut anywhere", (end) => {
    const bytes = utf8.encode(
      `: a comment${end}${events.map(frame).join("").replaceAll("\n", end)}`,
    );
    for (let size = 1; size < 9; size++) {
      const decoder = new EventDecoder();
      const found: string[] = [];
      for (let at = 0; at < bytes.length; at += size)
        found.push(...decoder.push(bytes.subarray(at, at + size)));
      expect(found.map((data) => JSON.parse(data))).toEqual(events);
    }
  });

  test("looks at nothing twice", () => {
    const bytes = utf8.encode(frame({ type: "x", text: "a".repeat(8_000_000) }));
    const decoder = new EventDecoder();
    const began = performance.now();
    let events = 0;
    for (let at = 0; at < bytes.length; at += 1000) {
      events += decoder.push(bytes.subarray(at, at + 1000)).length;
    }
    expect(events).toBe(1);
    // It takes 50 ms; a decoder that begins again with each piece reads 32 GB.
    expect(performance.now() - began).toBeLessThan(5000);
  });

  test("joins several lines of data", () => {
    expect(new EventDecoder().push(utf8.encode("data: a\ndata:b\n\n\n"))).toEqual(["a\nb"]);
  });
});

describe("JSON without its end", () => {
  test.each([
    ["", undefined],
    ["{", {}],
    ['{"a', {}],
    ['{"a":', {}],
    ['{"a": "b\\', { a: "b" }],
    ['{"a": "b\\u00', { a: "b" }],
    ['{"a": "b\\n', { a: "b\n" }],
    ['{"a": 1', {}],
    ['{"a": 1, "b": tr', { a: 1 }],
    ['{"a": true', { a: true }],
    ['{"a": [1, {"b": "c', { a: [1, { b: "c" }] }],
    ['[[], {}, -1.5e3, null, "', [[], {}, -1500, null, ""]],
    ["12", undefined],
  ])("%j is what is certain of it", (text, value) => {
    expect(partialJson(text)).toEqual(value);
  });

  test("is its value at the end, and never throws before", () => {
    const value = { 'a"b': ["ä\n", 1.5, -2e-7, true, null, { c: [] }], __proto__x: { d: "\\" } };
    for (const text of [JSON.stringify(value), JSON.stringify(value, null, 2)]) {
      for (let end = 0; end < text.length; end++) partialJson(text.slice(0, end));
      expect(partialJson(text)).toEqual(value);
    }
  });
});
