import assert from "node:assert/strict";
import { test } from "node:test";
import { curlOf } from "../src/rules/calls.ts";
import {
  dayAfter,
  finerCost,
  finerTime,
  finerUsage,
  requestsHref,
  spanOf,
} from "../src/rules/drill.ts";
import { ENTRIES } from "../src/rules/permissions.ts";
import { modelChoices } from "../src/rules/playground.ts";
import { fill, type Place } from "../src/rules/saving.ts";
import {
  auditSearch,
  batchesSearch,
  costSearch,
  keysSearch,
  limitsSearch,
  membersSearch,
  usageSearch,
  workspacesSearch,
} from "../src/rules/searches.ts";
import { deedOf, LETTERS } from "../src/rules/shortcuts.ts";
import { orderAfter, orderIn, orderQuery } from "../src/rules/sorting.ts";

test("the first click on a column sorts names upwards and times from the newest", () => {
  assert.equal(orderAfter("-created_at", "name"), "name");
  assert.equal(orderAfter("name", "name"), "-name");
  assert.equal(orderAfter("-name", "name"), "name");
  assert.equal(orderAfter("name", "last_used_at"), "-last_used_at");
  assert.equal(orderAfter("-last_used_at", "last_used_at"), "last_used_at");
  assert.deepEqual(orderQuery("-name"), { order_by: "name", order: "desc" });
  assert.deepEqual(orderQuery("name"), { order_by: "name", order: "asc" });
});

test("an address names only orders that its list has", () => {
  assert.equal(orderIn(["name"], "-name"), "-name");
  assert.equal(orderIn(["name"], "--name"), undefined);
  assert.equal(orderIn(["name"], "hint"), undefined);
  assert.deepEqual(keysSearch({ q: "ci", sort: "-last_used_at", creator: "user_1" }), {
    q: "ci",
    sort: "-last_used_at",
    creator: "user_1",
  });
  assert.deepEqual(keysSearch({ q: 2026, sort: "hint" }), { q: "2026" });
  assert.deepEqual(workspacesSearch({ archived: true, q: "x".repeat(257) }), { archived: true });
  assert.deepEqual(membersSearch({ role: "admin", sort: "email" }), {
    role: "admin",
    sort: "email",
  });
  assert.deepEqual(batchesSearch({ status: "ended", sort: "created_at" }), {
    status: "ended",
    sort: "created_at",
  });
  assert.deepEqual(auditSearch({ from: "2026-11-01", to: "yesterday", action: "api_key.create" }), {
    from: "2026-11-01",
    action: "api_key.create",
  });
  assert.deepEqual(limitsSearch({ scope: "api_key", key: "../x" }), { scope: "api_key" });
  assert.deepEqual(costSearch({ day: "2026-02-30x", kind: "output_tokens" }), {
    kind: "output_tokens",
  });
});

test("a number of the usage leads to the finer groups of what it counts", () => {
  assert.deepEqual(finerUsage({ by: "model", range: "7d" }, "model", "m"), {
    range: "7d",
    model: "m",
    by: "api_key_id",
  });
  const two = finerUsage({ by: "api_key_id", model: "m" }, "api_key_id", "apikey_1");
  assert.deepEqual(two, { model: "m", key: "apikey_1", by: "workspace_id" });
  assert.equal(finerUsage({ model: "m", key: "k" }, "workspace_id", "w"), null);
  assert.deepEqual(finerCost({ by: "model" }, "model", "m"), { model: "m", by: "workspace_id" });
  assert.equal(finerCost({ model: "m", kind: "k" }, "workspace_id", "w"), null);
});

test("a day is split into hours, an hour into minutes, and a minute no further", () => {
  const [day, next] = ["2026-11-20T00:00:00.000Z", "2026-11-21T00:00:00.000Z"];
  const hours = finerTime({ range: "7d", model: "m" }, day, next);
  assert.deepEqual(hours, { model: "m", from: day, to: next });
  assert.deepEqual(usageSearch(hours ?? {}), hours);
  assert.equal(spanOf(hours ?? {}, 0).width, "1h");
  const minutes = finerTime({}, day, "2026-11-20T01:00:00.000Z");
  assert.deepEqual(spanOf(minutes ?? {}, 0), {
    start: day,
    end: "2026-11-20T01:00:00.000Z",
    width: "1m",
    limit: 60,
  });
  assert.equal(finerTime({}, day, "2026-11-20T00:01:00.000Z"), null);
  assert.equal(spanOf({ from: day, to: "2026-12-20T00:00:00.000Z" }, 0).width, "1d");
  assert.equal(spanOf({ range: "1d" }, Date.parse(next) + 5).start, next);
  assert.equal(dayAfter("2026-12-31"), "2027-01-01");
});

test("the requests behind a number are those of its filters", () => {
  assert.equal(requestsHref({}), "/console/requests");
  assert.equal(
    requestsHref({ model: "a/b&c", key: undefined, from: "2026-11-20T00:00:00Z" }),
    "/console/requests?model=a%2Fb%26c&from=2026-11-20T00%3A00%3A00Z",
  );
});

test("a call is a command that a shell takes as it is", () => {
  const text = curlOf("http://a:1", "/v1/x", { models: ["it's"], limit: 2 });
  assert.equal(text.split("\n")[0], "curl 'http://a:1/v1/x?models%5B%5D=it%27s&limit=2' \\");
  assert.match(text, /"x-api-key: \$ANTIPHON_ADMIN_KEY"/);
});

test("keys lead to pages, but not while one types or with other keys held", () => {
  const pressed = (key: string, change = {}) => ({ key, held: false, typing: false, ...change });
  const paths = ["/keys", "/usage"];
  assert.equal(deedOf(pressed("g"), false, paths), "wait");
  assert.deepEqual(deedOf(pressed("k"), true, paths), { to: "/keys" });
  assert.equal(deedOf(pressed("k"), false, paths), null);
  assert.equal(deedOf(pressed("a"), true, paths), null, "a page that the role does not see");
  assert.equal(deedOf(pressed("/"), false, paths), "filter");
  assert.equal(deedOf(pressed("?"), false, paths), "help");
  for (const change of [{ held: true }, { typing: true }]) {
    assert.equal(deedOf(pressed("/", change), false, paths), null);
    assert.equal(deedOf(pressed("k", change), true, paths), null);
  }
});

test("every page has a letter of its own", () => {
  const paths = ENTRIES.map(({ path }) => path);
  assert.deepEqual(Object.keys(LETTERS).sort(), [...paths].sort());
  assert.equal(new Set(Object.values(LETTERS)).size, paths.length);
});

test("a download that fails leaves no file, and says why", async () => {
  const deeds: string[] = [];
  const written: string[] = [];
  const place = (): Place => ({
    createWritable: () =>
      Promise.resolve(
        new WritableStream<Uint8Array>({
          write: (part) => void written.push(new TextDecoder().decode(part)),
          abort: () => void deeds.push("aborted"),
          close: () => void deeds.push("closed"),
        }),
      ),
    remove: () => Promise.resolve(void deeds.push("removed")),
  });
  const whole = new Blob(["abc"]).stream();
  await fill(place(), () => Promise.resolve({ body: whole }));
  assert.deepEqual([written.join(""), deeds], ["abc", ["closed"]]);
  deeds.length = 0;
  await assert.rejects(
    fill(place(), () => Promise.reject(new Error("404"))),
    /404/,
  );
  assert.deepEqual(deeds, ["removed"]);
  deeds.length = 0;
  const broken = new ReadableStream<Uint8Array>({ pull: (to) => to.error(new Error("cut")) });
  await assert.rejects(
    fill(place(), () => Promise.resolve({ body: broken })),
    /cut/,
  );
  assert.deepEqual(deeds, ["aborted", "removed"]);
});

test("the Playground offers aliases beside the models, and no patterns", () => {
  const models = [{ id: "llama", display_name: "Llama" }];
  const groups = [{ models: ["llama", "claude-x", "claude-*"] }, { models: null }];
  assert.deepEqual(modelChoices(models, groups), [
    { group: "Models", items: [{ value: "llama", label: "Llama" }] },
    { group: "Other names", items: [{ value: "claude-x", label: "claude-x" }] },
  ]);
  assert.equal(modelChoices(models, []).length, 1);
});
