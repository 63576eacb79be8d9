import assert from "node:assert/strict";
import { test } from "node:test";
import {
  askedOf,
  bodyOf,
  callsOf,
  countBodyOf,
  type Fields,
  jsonFault,
  type Turn,
} from "../src/rules/playground.ts";

const FIELDS: Fields = {
  model: "m",
  system: " ",
  maxTokens: 9,
  temperature: null,
  cached: false,
  tools: "",
  more: "",
};

test("an empty field is no parameter", () => {
  assert.deepEqual(bodyOf(FIELDS, []), { model: "m", max_tokens: 9, messages: [], stream: true });
});

test("filled fields are parameters, and counting takes those of the prompt", () => {
  const fields = {
    ...FIELDS,
    system: "Be brief.",
    temperature: 0,
    cached: true,
    tools: '[{"name":"t"}]',
    more: '{"top_p":0.5}',
  };
  const body = bodyOf(fields, [{ role: "user", content: "Hi" }]);
  assert.equal(body.temperature, 0);
  assert.equal(body.top_p, 0.5);
  assert.deepEqual(Object.keys(countBodyOf(body)).sort(), [
    "cache_control",
    "messages",
    "model",
    "system",
    "tools",
  ]);
});

test("a field of JSON says what is wrong with it, and is left out", () => {
  assert.equal(jsonFault("", "list"), null);
  assert.equal(jsonFault("[]", "list"), null);
  assert.match(jsonFault("{}", "list") ?? "", /list/);
  assert.match(jsonFault("[", "object") ?? "", /JSON/);
  assert.match(jsonFault("null", "object") ?? "", /object/);
  assert.equal("tools" in bodyOf({ ...FIELDS, tools: "[" }, []), false);
});

test("only the calls of the last answer wait for results", () => {
  const call = { type: "tool_use", id: "t1", name: "look", input: {} };
  assert.deepEqual(callsOf({ role: "assistant", content: [{ type: "text", text: "" }, call] }), [
    call,
  ]);
  assert.deepEqual(callsOf({ role: "user", content: [call] }), []);
  assert.deepEqual(callsOf(undefined), []);
});

test("an answer at the end of a conversation is no part of its request", () => {
  const first: Turn = { role: "user", content: "Hi" };
  const answer: Turn = { role: "assistant", content: "Hello." };
  assert.deepEqual(askedOf([]), []);
  assert.deepEqual(askedOf([answer]), []);
  assert.deepEqual(askedOf([first, answer]), [first]);
  assert.deepEqual(askedOf([first, answer, first]), [first, answer, first]);
});
