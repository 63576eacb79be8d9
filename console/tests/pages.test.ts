import assert from "node:assert/strict";
import { test } from "node:test";
import { differences, inWords } from "../src/rules/audit.ts";
import { batchProgress, outcomesOf, requestsOf } from "../src/rules/batches.ts";
import { type Sized, tools } from "../src/rules/connections.ts";
import { encodePath } from "../src/rules/groups.ts";
import { isOfLimit, scopeName, usedPart } from "../src/rules/limits.ts";
import { roleName } from "../src/rules/roles.ts";

const MODEL = { id: "m", max_input_tokens: null, max_tokens: null };

test("each tool gets the base URL in the form that it completes", () => {
  const texts = Object.fromEntries(
    tools("http://a:1", "k", MODEL).map(({ id, text }) => [id, text]),
  );
  for (const id of ["python", "typescript", "claude-code", "vscode", "zed"]) {
    assert.match(texts[id] ?? "", /http:\/\/a:1/);
    assert.doesNotMatch(texts[id] ?? "", /http:\/\/a:1\/v1/);
  }
  for (const id of ["ai-sdk", "opencode"]) assert.match(texts[id] ?? "", /"http:\/\/a:1\/v1"/);
  assert.match(texts.curl ?? "", /http:\/\/a:1\/v1\/messages/);
});

test("what is JSON to copy is JSON, whatever a model is called", () => {
  for (const { id, text } of tools("http://a", 'k"\\', { ...MODEL, id: 'm"' })) {
    if (["vscode", "zed", "opencode"].includes(id)) JSON.parse(text);
  }
});

test("Zed gets the sizes that the model tells", () => {
  const sizes = (model: Sized) => {
    const text = tools("http://a", "k", model).find(({ id }) => id === "zed")?.text ?? "";
    const [only] = JSON.parse(text).language_models.anthropic.available_models;
    return [only.max_tokens, only.max_output_tokens];
  };
  const told = { id: "m", max_input_tokens: 8192, max_tokens: 4096 };
  assert.deepEqual(sizes(told), [8192, 4096]);
  assert.deepEqual(sizes(MODEL), [32768, undefined]);
});

test("a batch without open requests is done", () => {
  const counts = { processing: 1, succeeded: 2, errored: 1, canceled: 0, expired: 0 };
  assert.equal(requestsOf({ request_counts: counts }), 4);
  assert.equal(batchProgress({ request_counts: counts }), 0.75);
  assert.equal(batchProgress({ request_counts: { ...counts, processing: 0 } }), 1);
});

test("a batch tells how its requests ended, without what did not happen", () => {
  const none = { processing: 5, succeeded: 0, errored: 0, canceled: 0, expired: 0 };
  assert.equal(outcomesOf({ request_counts: none }), "");
  const some = { ...none, succeeded: 1200, canceled: 1 };
  assert.equal(outcomesOf({ request_counts: some }), "1,200 succeeded, 1 canceled");
});

test("what is spent and what is held use up a limit", () => {
  assert.equal(usedPart({ spent: "25", held: "25", limit: "100" }), 0.5);
  assert.equal(usedPart({ spent: "200", held: "0", limit: "100" }), 1);
  assert.equal(usedPart({ spent: "1", held: "0", limit: null }), null);
  assert.equal(usedPart({ spent: "0", held: "0", limit: "0" }), 1);
});

test("a scope has the name of its object, or its id", () => {
  const workspace = (id: string) => id.toUpperCase();
  assert.equal(
    scopeName({ type: "workspace", workspace_id: "w" }, workspace, undefined),
    "Workspace W",
  );
  assert.equal(
    scopeName({ type: "api_key", api_key_id: "k" }, workspace, new Map([["k", "laptop"]])),
    "Key laptop",
  );
  assert.equal(scopeName({ type: "api_key", api_key_id: "k" }, workspace, undefined), "Key k");
});

test("a change shows what differs, also for what is new or gone", () => {
  assert.deepEqual(differences({ a: 1, b: "x", c: null }, { a: 2, b: "x", d: [1] }), [
    { name: "a", before: "1", after: "2" },
    { name: "d", before: null, after: "[1]" },
  ]);
  assert.deepEqual(differences(null, null), []);
  assert.equal(inWords("api_key.rotate"), "Api key: rotate");
});

test("ids of models keep their slashes in a path, and nothing else leaves it", () => {
  assert.equal(encodePath("rl_owner/name?x#y"), "rl_owner/name%3Fx%23y");
});

test("an unknown role is shown as it is called", () => {
  assert.equal(roleName("admin"), "Administrator");
  assert.equal(roleName("owner"), "owner");
});

test("a refusal by a limit is known by the API's words", () => {
  const refused = (message: string) => isOfLimit(new Error(message));
  assert.ok(refused("This request would exceed your workspace's rate limit of 5 requests"));
  assert.ok(refused("You have reached your specified workspace API usage limits. You will"));
  assert.ok(refused("You have reached the usage limits of this API key. You will regain"));
  assert.ok(!refused("Overloaded"));
});
