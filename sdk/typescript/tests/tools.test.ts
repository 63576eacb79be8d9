import { describe, expect, test } from "vitest";
import * as z from "zod";
import type { ToolResultBlockParam } from "../src/index.ts";
import { outputSchema, SchemaError, ToolError, tool } from "../src/index.ts";
import {
  ASK,
  caught,
  collect,
  json,
  MESSAGE,
  type Sent,
  served,
  streaming,
  textEvents,
} from "./support.ts";

const saying = (text: string, stop_reason = "end_turn") =>
  json({ ...MESSAGE, content: [{ type: "text", text, citations: [] }], stop_reason });
const calling = (...calls: [name: string, input: object][]) =>
  json({
    ...MESSAGE,
    content: calls.map(([name, input], at) => ({
      type: "tool_use",
      id: `call_${at}`,
      name,
      input,
    })),
    stop_reason: "tool_use",
  });

/** Return the messages of a request. */
function messagesOf(sent: Sent | undefined): Array<{ role: string; content: unknown }> {
  return ((sent as Sent).body as { messages: Array<{ role: string; content: unknown }> }).messages;
}

const add = tool({
  name: "add",
  description: "Adds.",
  inputSchema: z.object({ a: z.number(), b: z.number().default(1) }),
  run: ({ a, b }) => a + b,
});

describe("a tool", () => {
  test("is told to the model by its schema", () => {
    expect(add.definition).toMatchObject({ name: "add", description: "Adds." });
    expect(add.definition.input_schema).toMatchObject({
      type: "object",
      properties: { a: { type: "number" } },
      required: ["a"],
    });
    expect(add.definition.input_schema).not.toHaveProperty("$schema");
  });

  test("takes JSON Schema as it is, and gives blocks, texts and values", async () => {
    const schema = { type: "object", properties: { a: {} } };
    const context = { id: "c", signal: new AbortController().signal };
    const result = (value: unknown) =>
      tool({ name: "t", inputSchema: schema, run: () => value }).run({}, context);
    expect(await result("text")).toBe("text");
    expect(await result([{ type: "text", text: "a" }])).toEqual([{ type: "text", text: "a" }]);
    expect(await result([{ type: "cat" }])).toBe('[{"type":"cat"}]');
    expect(await result({ a: 1 })).toBe('{"a":1}');
    expect(await result(undefined)).toBe("");
  });

  test("needs a library that says its schema", () => {
    const schema = { "~standard": { version: 1, vendor: "old", validate: () => ({ value: 1 }) } };
    expect(() => tool({ name: "t", inputSchema: schema, run: () => "" })).toThrow(
      /old does not say/,
    );
  });
});

describe("a runner", () => {
  test("runs the calls of a message at once and goes on until there are none", async () => {
    let running = 0;
    let most = 0;
    const slow = tool({
      name: "slow",
      inputSchema: z.object({}),
      run: async () => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setTimeout(resolve));
        running--;
        return "slept";
      },
    });
    const { client, sent } = served([
      calling(["slow", {}], ["slow", {}], ["add", { a: 1 }]),
      saying("Done."),
    ]);
    const runner = client.messages.toolRunner({ ...ASK, tools: [slow, add] });
    const messages = await collect(runner);
    expect(messages.map(({ stop_reason }) => stop_reason)).toEqual(["tool_use", "end_turn"]);
    expect(most).toBe(2);
    expect(messagesOf(sent[1]).slice(1)).toEqual([
      { role: "assistant", content: messages[0]?.content },
      {
        role: "user",
        content: [
          { type: "tool_result", tool_use_id: "call_0", content: "slept" },
          { type: "tool_result", tool_use_id: "call_1", content: "slept" },
          { type: "tool_result", tool_use_id: "call_2", content: "2" },
        ],
      },
    ]);
    expect(runner.messages).toHaveLength(4);
    expect(sent[0]?.body).toMatchObject({ tools: [slow.definition, add.definition] });
  });

  test("tells the model what went wrong", async () => {
    const failing = tool({
      name: "fail",
      inputSchema: { type: "object" },
      run: (input) => {
        throw (input as { soft?: boolean }).soft
          ? new ToolError("try later")
          : new RangeError("broken");
      },
    });
    const { client, sent } = served([
      calling(["fail", {}], ["fail", { soft: true }], ["add", { a: "x" }]),
      saying("I see."),
    ]);
    const last = await client.messages.toolRunner({ ...ASK, tools: [failing, add] });
    expect(last.content).toMatchObject([{ text: "I see." }]);
    const results = messagesOf(sent[1])[2]?.content as ToolResultBlockParam[];
    expect(results.map(({ is_error }) => is_error)).toEqual([true, true, true]);
    expect(results.map(({ content }) => content)).toEqual([
      "RangeError: broken",
      "try later",
      expect.stringMatching(/^SchemaError: a: /),
    ]);
  });

  test("goes on after a pause, and stops at its bound", async () => {
    const paused = served([saying("Wait", "pause_turn"), saying("Done.")]);
    const messages = await collect(paused.client.messages.toolRunner({ ...ASK, tools: [add] }));
    expect(messages).toHaveLength(2);
    expect(messagesOf(paused.sent[1])).toHaveLength(2);
    const bound = served([calling(["add", { a: 1 }])]);
    const last = await bound.client.messages.toolRunner({
      ...ASK,
      tools: [add],
      max_iterations: 1,
    });
    expect(last.stop_reason).toBe("tool_use");
  });

  test("takes other parameters and messages on the way", async () => {
    const { client, sent } = served([calling(["add", { a: 1 }]), saying("Done.")]);
    const runner = client.messages.toolRunner({ ...ASK, tools: [add] });
    for await (const message of runner) {
      if (message.stop_reason !== "tool_use") continue;
      runner.params.max_tokens = 99;
      runner.params.system = "Be brief.";
    }
    expect(sent[1]?.body).toMatchObject({ max_tokens: 99, system: "Be brief." });
    expect(messagesOf(sent[1])).toHaveLength(3);
  });

  test("leaves calls of other tools to its caller", async () => {
    const { client, sent } = served([calling(["other", {}])]);
    const other = { name: "other", input_schema: { type: "object" } };
    const last = await client.messages.toolRunner({ ...ASK, tools: [add, other] });
    expect([last.stop_reason, sent.length]).toEqual(["tool_use", 1]);
  });

  test("streams if somebody wants to see it", async () => {
    const { client } = served([streaming(textEvents("One", " two"))]);
    const heard: string[] = [];
    const last = await client.messages.toolRunner({
      ...ASK,
      tools: [add],
      onStream: (stream) => void stream.on("text", (text) => heard.push(text)),
    });
    expect([heard, last.stop_reason]).toEqual([["One", " two"], "end_turn"]);
  });
});

describe("an answer of a schema", () => {
  const Person = z.object({ name: z.string().min(2), age: z.int().optional() });

  test("is a value, by a library or by JSON Schema", async () => {
    const { client, sent } = served([saying('{"name": "Ada"}'), saying("[1]")]);
    const message = await client.messages.parse({ ...ASK, output_format: Person });
    expect(message.parsed_output?.name).toBe("Ada");
    expect(sent[0]?.body).toEqual({
      ...ASK,
      stream: false,
      output_config: {
        format: {
          type: "json_schema",
          schema: {
            type: "object",
            properties: {
              name: { type: "string", description: '{"minLength":2}' },
              age: expect.objectContaining({ type: "integer" }),
            },
            required: ["name"],
            additionalProperties: false,
          },
        },
      },
    });
    const list = await client.messages.parse({ ...ASK, output_format: { type: "array" } });
    expect(list.parsed_output).toEqual([1]);
  });

  test("that is not whole has no value, and one that does not fit is an error", async () => {
    const { client } = served([
      saying('{"na', "max_tokens"),
      saying('{"name": "A"}'),
      saying("Sure!"),
    ]);
    const cut = await client.messages.parse({ ...ASK, output_format: Person });
    expect(cut.parsed_output).toBeNull();
    const misfit = await caught(client.messages.parse({ ...ASK, output_format: Person }));
    expect(misfit).toBeInstanceOf(SchemaError);
    expect(misfit.message).toMatch(/^name: /);
    expect(
      (await caught(client.messages.parse({ ...ASK, output_format: Person }))).message,
    ).toContain("no JSON");
  });

  test("is asked for in the words of the API", () => {
    expect(
      outputSchema({
        type: "object",
        additionalProperties: { type: "string" },
        $defs: {
          d: { type: "object", properties: { "x-y": { oneOf: [{ type: "null" }, { const: 1 }] } } },
        },
        properties: {
          format: { type: "string", format: "uuid" },
          code: { type: "string", format: "isbn", pattern: "^9", description: "A code." },
          list: { type: "array", minItems: 1, maxItems: 3, items: { $ref: "#/$defs/d" } },
        },
      }),
    ).toEqual({
      type: "object",
      additionalProperties: false,
      $defs: {
        d: {
          type: "object",
          additionalProperties: false,
          properties: { "x-y": { anyOf: [{ type: "null" }, { const: 1 }] } },
        },
      },
      properties: {
        format: { type: "string", format: "uuid" },
        code: { type: "string", description: 'A code.\n\n{"format":"isbn","pattern":"^9"}' },
        list: {
          type: "array",
          minItems: 1,
          items: { $ref: "#/$defs/d" },
          description: '{"maxItems":3}',
        },
      },
    });
  });
});
