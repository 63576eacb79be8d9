import assert from "node:assert/strict";
import { test } from "node:test";
import { urlOf } from "../src/rules/calls.ts";
import { tokenOf } from "../src/rules/fragments.ts";
import { ENTRIES, entriesFor } from "../src/rules/permissions.ts";
import { keysSearch, known, usageSearch } from "../src/rules/searches.ts";

test("an address may come from anywhere, so what is unknown in it is left out", () => {
  assert.deepEqual(keysSearch({ status: "active", workspace: "wrkspc_1", x: 1 }), {
    status: "active",
    workspace: "wrkspc_1",
  });
  assert.deepEqual(keysSearch({ status: "<script>", workspace: "../x", after: ["a"] }), {});
  assert.deepEqual(usageSearch({ range: "7d", by: "constructor" }), { range: "7d" });
});

test("a route takes away what its page does not know", () => {
  // Undefined is laid over the value of the address, where a property that is not there is not.
  const said = { range: "ever", by: "model", x: 1 };
  assert.deepEqual(
    { ...said, ...known(usageSearch)(said) },
    {
      range: undefined,
      by: "model",
      x: undefined,
    },
  );
});

test("lists of a query are repeated, and what is undefined is left out", () => {
  assert.equal(urlOf("", "/p", { a: undefined }), "/p");
  assert.equal(
    urlOf("", "/p", { ids: ["a&b", "c"], limit: 5 }),
    "/p?ids%5B%5D=a%26b&ids%5B%5D=c&limit=5",
  );
});

test("the token of a link stands in its fragment", () => {
  assert.equal(tokenOf("#token=abc"), "abc");
  assert.equal(tokenOf(""), null);
  assert.equal(tokenOf("#token="), null);
});

test("a role sees the pages that its permissions open, in one order", () => {
  assert.deepEqual(entriesFor([]), []);
  const some = entriesFor(["usage.read", "keys.read"]).map((entry) => entry.path);
  assert.deepEqual(
    some,
    ENTRIES.map((entry) => entry.path).filter((path) => some.includes(path)),
  );
  assert.ok(some.includes("/usage") && some.includes("/keys"));
  assert.ok(!some.includes("/playground"));
});
