import assert from "node:assert/strict";
import { test } from "node:test";
import { differences, isAlone, objectOf, verbOf } from "../src/rules/audit.ts";
import {
  batchProgress,
  costOf,
  firstBatch,
  hindranceOf,
  isOfMoney,
  outcomesOf,
  requestsOf,
} from "../src/rules/batches.ts";
import { encodePath } from "../src/rules/groups.ts";
import { isOfLimit, scopeName, usedPart } from "../src/rules/limits.ts";
import { roleName } from "../src/rules/roles.ts";

test("a batch without open requests is done", () => {
  const counts = { processing: 1, succeeded: 2, errored: 1, canceled: 0, expired: 0 };
  assert.equal(requestsOf({ request_counts: counts }), 4);
  assert.equal(batchProgress({ request_counts: counts }), 0.75);
  assert.equal(batchProgress({ request_counts: { ...counts, processing: 0 } }), 1);
});

test("the first batch is of this server and of one of its models", () => {
  const program = firstBatch('http://x"', 'a"b');
  assert.match(program, /base_url="http:\/\/x\\""/);
  assert.match(program, /"model": "a\\"b"/);
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

test("a change shows what differs in words, also for what is new or gone", () => {
  const before = { name: "a", status: "active", id: "apikey_1" };
  assert.deepEqual(differences(before, { ...before, name: "b" }), [
    { name: "name", before: "a", after: "b" },
  ]);
  assert.deepEqual(differences(null, { id: "x", expires_at: null, workspace_id: "w" }), [
    { name: "workspace id", before: null, after: "w" },
  ]);
  assert.deepEqual(differences({ amount: "2500", is_enabled: true }, null), [
    { name: "amount", before: "$25.00", after: null },
    { name: "is enabled", before: "yes", after: null },
  ]);
  const rate = (value: number) => ({ limits: [{ type: "requests_per_minute", value }] });
  assert.deepEqual(differences(rate(1), rate(5)), [
    { name: "limits", before: "requests per minute 1", after: "requests per minute 5" },
  ]);
  assert.deepEqual(differences({ tags: {} }, { tags: { team: "a" } }), [
    { name: "tags", before: null, after: "team a" },
  ]);
});

test("a change is a sentence about its object, or about whose limit it is", () => {
  const entry = { before: null, after: { name: "ci" }, object: { type: "api_key", id: "k" } };
  const by = { actor: { type: "user", id: "user_1" }, object: entry.object };
  assert.equal(verbOf({ ...by, action: "api_key.create" }), "created the key");
  assert.equal(verbOf({ ...by, action: "new_thing.do" }), "did new thing: do to");
  const own = { ...by, object: { type: "user", id: "user_1" } };
  assert.equal(verbOf({ ...own, action: "session.create" }), "signed in");
  assert.equal(verbOf({ ...by, action: "session.create" }), "signed in as");
  assert.deepEqual(objectOf(entry), { name: "ci", id: "k", kind: "key" });
  const file = { before: { filename: "a.pdf" }, after: null, object: { type: "file", id: "f" } };
  assert.equal(objectOf(file).name, "a.pdf");
  const scope = { type: "workspace", workspace_id: "w" };
  assert.deepEqual(objectOf({ ...entry, scope }), {
    name: "a workspace",
    id: "w",
    kind: "workspace",
  });
  const member = { type: "workspace_member", id: "wrkspc_1/user_1" };
  assert.equal(objectOf({ ...entry, object: member }).id, "user_1");
  const session = { action: "session.delete", object: { type: "session", id: "user_1" } };
  assert.ok(isAlone({ ...session, actor: { type: "user", id: "user_1" } }));
  assert.ok(!isAlone({ ...session, actor: { type: "command_line" } }));
});

test("a batch that a spend limit stops waits for money", () => {
  assert.ok(isOfMoney("You have reached your specified API usage limits. The daily spend limit"));
  assert.ok(!isOfMoney("The model is overloaded"));
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

test("a batch says what hinders it: that it waits, else that it is slow", () => {
  const limit = "You have reached the daily limit of $5.00.";
  assert.equal(hindranceOf({}), null);
  const waiting = hindranceOf({ waits_for: limit, slowed_by: "held" });
  assert.deepEqual([waiting?.state, waiting?.reason, waiting?.ofMoney], ["Waiting", limit, true]);
  assert.match(waiting?.advice ?? "", /when there is money/);
  const away = hindranceOf({ waits_for: "The model is loading." });
  assert.deepEqual([away?.state, away?.ofMoney], ["Waiting", false]);
  const slow = hindranceOf({ slowed_by: "held" });
  assert.deepEqual([slow?.state, slow?.reason, slow?.ofMoney], ["Slow", "held", true]);
  const way = hindranceOf({ slowed_by: "Interactive requests are using the model, and go first." });
  assert.deepEqual([way?.state, way?.ofMoney], ["Slow", false]);
  assert.match(way?.advice ?? "", /goes on by itself/);
});

test("a batch costs what was charged, to the nano-dollar", () => {
  assert.equal(costOf({}), "–");
  assert.equal(costOf({ cost: { amount: "0.0000001", currency: "USD" } }), "$0.000000001");
});
