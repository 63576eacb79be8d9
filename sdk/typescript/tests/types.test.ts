// What a program sees of the types: the compiler is the test.

import { expectTypeOf, test } from "vitest";
import * as z from "zod";
import type {
  ContentBlock,
  Message,
  MessageParam,
  MessageStream,
  MessageStreamEvent,
  TextBlock,
  ToolUseBlock,
  Unknown,
} from "../src/index.ts";
import { type Antiphon, asUnknown, tool } from "../src/index.ts";

test("a type narrows a block to it alone, and the rest is unknown", () => {
  const told = (block: ContentBlock): string => {
    switch (block.type) {
      case "text":
        expectTypeOf(block).toEqualTypeOf<TextBlock>();
        return block.text;
      case "tool_use":
        expectTypeOf(block).toEqualTypeOf<ToolUseBlock>();
        return block.name;
      case "thinking":
      case "redacted_thinking":
      case "server_tool_use":
      case "tool_search_tool_result":
      case "web_search_tool_result":
      case "web_fetch_tool_result":
        return "";
      default:
        expectTypeOf(block).toEqualTypeOf<Unknown>();
        expectTypeOf(block.field).toBeUnknown();
        return block.type;
    }
  };
  expectTypeOf(told).returns.toBeString();
  expectTypeOf<MessageStreamEvent & { type: "message_stop" }>().not.toBeNever();
});

test("an answer can be sent back, also with blocks that nobody knows", () => {
  const back = ({ role, content }: Message): MessageParam => ({ role, content });
  expectTypeOf(back).toBeFunction();
  const made: MessageParam = { role: "user", content: [asUnknown({ type: "hologram", x: 1 })] };
  expectTypeOf(made).toEqualTypeOf<MessageParam>();
  // @ts-expect-error a type that is misspelt
  const wrong: MessageParam = { role: "user", content: [{ type: "txt", text: "" }] };
  expectTypeOf(wrong).toEqualTypeOf<MessageParam>();
});

test("what a call returns follows from its parameters", () => {
  const ask = { model: "m", max_tokens: 1, messages: [] as MessageParam[] };
  const calls = (client: Antiphon) => ({
    whole: () => client.messages.create(ask),
    stream: () => client.messages.create({ ...ask, stream: true }),
    parsed: () => client.messages.parse({ ...ask, output_format: z.object({ a: z.number() }) }),
    free: () => client.messages.parse({ ...ask, output_format: { type: "object" } }),
  });
  type Calls = ReturnType<typeof calls>;
  expectTypeOf<Awaited<ReturnType<Calls["whole"]>>>().toEqualTypeOf<Message>();
  expectTypeOf<Awaited<ReturnType<Calls["stream"]>>>().toEqualTypeOf<MessageStream>();
  type Parsed = Awaited<ReturnType<Calls["parsed"]>>["parsed_output"];
  expectTypeOf<Parsed>().toEqualTypeOf<{ a: number } | null>();
  expectTypeOf<Awaited<ReturnType<Calls["free"]>>["parsed_output"]>().toBeUnknown();
  tool({
    name: "t",
    inputSchema: z.object({ city: z.string() }),
    run: (input) => expectTypeOf(input).toEqualTypeOf<{ city: string }>(),
  });
});

test("words that may grow are open, and a field that the types do not know is a mistake", () => {
  const reason = (message: Message): boolean => message.stop_reason === "a_new_reason";
  expectTypeOf(reason).returns.toBeBoolean();
  const calls = (client: Antiphon) =>
    // @ts-expect-error a field that is misspelt
    client.messages.create({ model: "m", max_token: 1, max_tokens: 1, messages: [] });
  expectTypeOf(calls).toBeFunction();
});
