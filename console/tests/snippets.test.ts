import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { pythonValue, shellWord, snippet } from "../src/rules/snippets.ts";

const HOSTILE = `it's "$HOME" \`id\` $(id) \\ \n é 😀 !`;
const BODY = {
  model: "m",
  max_tokens: 10,
  messages: [{ role: "user", content: HOSTILE }],
  stream: true,
};

test("a shell reads back the same text", () => {
  const done = spawnSync("sh", ["-c", `printf %s ${shellWord(HOSTILE)}`], { encoding: "utf-8" });
  assert.equal(done.stdout, HOSTILE);
});

test("curl sends the body that the Playground sent", () => {
  const command = snippet("curl", "http://a", BODY).replace(/^curl /, "printf '%s\\0' ");
  const done = spawnSync("sh", ["-c", command], {
    encoding: "utf-8",
    env: { ...process.env, ANTHROPIC_API_KEY: "k" },
  });
  const words = done.stdout.split("\0");
  assert.equal(words[0], "http://a/v1/messages");
  assert.ok(words.includes("x-api-key: k"));
  assert.deepEqual(JSON.parse(words[words.indexOf("--data") + 1] ?? ""), BODY);
});

test("Python's words for JSON's values", () => {
  assert.equal(pythonValue(null), "None");
  assert.equal(
    pythonValue({ a: [true, false], b: {} }),
    '{\n    "a": [\n        True,\n        False,\n    ],\n    "b": {},\n}',
  );
});

test("programs stream if the request does, and none has a key", () => {
  for (const language of ["python", "typescript"] as const) {
    const streamed = snippet(language, "http://a", BODY);
    assert.match(streamed, /messages\.stream/);
    assert.doesNotMatch(streamed, /stream=True|"stream": true|sk-/);
    assert.match(snippet(language, "http://a", { ...BODY, stream: false }), /messages\.create/);
  }
});
