import assert from "node:assert/strict";
import { test } from "node:test";
import { localTime, relativeTime, startOf, utcTime } from "../src/rules/times.ts";

const NOW = Date.parse("2026-11-29T10:00:00Z");

test("a time is shown in the zone of the reader, and exactly in UTC", () => {
  assert.match(localTime("2026-11-29T23:30:00Z", "en-GB", "Asia/Tokyo"), /30 Nov 2026.*08:30/);
  assert.equal(utcTime("2026-11-29T23:30:05.678Z"), "2026-11-29 23:30:05 UTC");
});

test("a distance in time has one unit", () => {
  assert.equal(relativeTime("2026-11-29T07:00:00Z", NOW), "3 hours ago");
  assert.equal(relativeTime("2026-12-01T10:00:00Z", NOW), "in 2 days");
  assert.equal(relativeTime("2026-11-29T09:59:40Z", NOW), "just now");
  assert.equal(relativeTime("2026-11-29T10:00:20Z", NOW), "in less than a minute");
});

test("a range ends with today, in UTC", () => {
  assert.equal(startOf("1d", NOW), "2026-11-29T00:00:00.000Z");
  assert.equal(startOf("7d", NOW), "2026-11-23T00:00:00.000Z");
});
