import assert from "node:assert/strict";
import { test } from "node:test";
import { changed, isFiltered, pageQuery } from "../src/rules/listing.ts";

test("a filter and an order begin at the first page, and keep the rest", () => {
  const place = { q: "bot", sort: "name", after: "apikey_1", status: "active" };
  assert.deepEqual(changed(place, { q: "dog" }), { q: "dog", sort: "name", status: "active" });
  assert.deepEqual(changed(place, { sort: "-name" }), {
    q: "bot",
    sort: "-name",
    status: "active",
  });
});

test("the next page has one mark, and the filters and the order of the one before", () => {
  const place = { q: "bot", sort: "name", before: "apikey_9" };
  assert.deepEqual(changed(place, { after: "apikey_1" }), {
    q: "bot",
    sort: "name",
    after: "apikey_1",
  });
});

test("an order and a page leave nothing out", () => {
  assert.equal(isFiltered({ sort: "name", after: "apikey_1" }), false);
  assert.equal(isFiltered({ q: "bot" }), true);
  const filtered = { sort: "name", status: "active" };
  assert.equal(isFiltered(filtered), true);
});

test("a place is the parameters of a page, in the usual order if it names none", () => {
  const query = { limit: 50, order_by: "created_at", order: "desc", contains: undefined };
  const none = { after_id: undefined, before_id: undefined };
  assert.deepEqual(pageQuery({}, "-created_at"), { ...query, ...none });
  assert.deepEqual(pageQuery({ q: "bot", sort: "name", after: "apikey_1" }, "-created_at"), {
    ...query,
    ...none,
    order_by: "name",
    order: "asc",
    contains: "bot",
    after_id: "apikey_1",
  });
});
