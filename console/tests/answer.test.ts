import assert from "node:assert/strict";
import { test } from "node:test";
import { asContent, brokenOff, EMPTY, fold } from "../src/rules/answer.ts";

const STREAM = [
  {
    type: "message_start",
    message: {
      model: "m",
      usage: { input_tokens: 7, output_tokens: 1, cache_read_input_tokens: 3 },
    },
  },
  { type: "ping" },
  { type: "content_block_start", index: 0, content_block: { type: "thinking", thinking: "" } },
  { type: "content_block_delta", index: 0, delta: { type: "thinking_delta", thinking: "Hm." } },
  { type: "content_block_delta", index: 0, delta: { type: "signature_delta", signature: "s1" } },
  { type: "content_block_stop", index: 0 },
  { type: "content_block_start", index: 1, content_block: { type: "text", text: "" } },
  { type: "content_block_delta", index: 1, delta: { type: "text_delta", text: "Hel" } },
  { type: "content_block_delta", index: 1, delta: { type: "text_delta", text: "lo" } },
  {
    type: "content_block_start",
    index: 2,
    content_block: { type: "tool_use", id: "t1", name: "look", input: {} },
  },
  {
    type: "content_block_delta",
    index: 2,
    delta: { type: "input_json_delta", partial_json: '{"at":' },
  },
  {
    type: "content_block_delta",
    index: 2,
    delta: { type: "input_json_delta", partial_json: "1}" },
  },
  { type: "an_event_of_next_year", index: 9 },
  { type: "message_delta", delta: { stop_reason: "tool_use" }, usage: { output_tokens: 12 } },
  { type: "message_stop" },
];

test("the events of a stream are an answer that the next request can repeat", () => {
  const answer = STREAM.reduce(fold, EMPTY);
  assert.deepEqual(asContent(answer), [
    { type: "thinking", thinking: "Hm.", signature: "s1" },
    { type: "text", text: "Hello" },
    { type: "tool_use", id: "t1", name: "look", input: { at: 1 } },
  ]);
  assert.equal(answer.stopReason, "tool_use");
  assert.deepEqual(answer.usage, {
    input_tokens: 7,
    output_tokens: 12,
    cache_read_input_tokens: 3,
    cache_creation_input_tokens: 0,
  });
  assert.ok(answer.done);
});

test("a stream that breaks off keeps its text and says why", () => {
  const answer = brokenOff(STREAM.slice(0, 8).reduce(fold, EMPTY), "The engine has failed.");
  assert.equal(answer.error, "The engine has failed.");
  assert.deepEqual(asContent(answer).at(-1), { type: "text", text: "Hel" });
});

test("a call that was stopped inside of its input has an empty one", () => {
  const answer = STREAM.slice(0, 11).reduce(fold, EMPTY);
  assert.deepEqual(asContent(answer).at(-1), {
    type: "tool_use",
    id: "t1",
    name: "look",
    input: {},
  });
});

test("no event changes an answer in place", () => {
  const before = STREAM.slice(0, 8).reduce(fold, EMPTY);
  const copy = structuredClone(before);
  fold(before, STREAM[8]);
  assert.deepEqual(before, copy);
});
