import assert from "node:assert/strict";
import { test } from "node:test";
import { localTime, relativeTime, startOf, utcTime } from "../src/rules/times.ts";

const NOW = Date.parse("2026-11-29T10:00:00Z");

test("a time is shown in the zone of the reader, and exactly in UTC", () => {
  assert.match(localTime("2026-11-29T23:30:00Z", "en-GB", "Asia/Tokyo"), /30 Nov 2026.*08:30/);
  assert.equal(utcTime("2026-11-29T23:30:05.678Z"), "2026-11-29 23:30:05 UTC");
});

function told(iso: string, zone = "UTC", now = NOW): string {
  return relativeTime(iso, now, "en", zone);
}

test("a distance in time has one unit, and is rounded to the nearest", () => {
  assert.equal(told("2026-11-29T09:59:40Z"), "just now");
  assert.equal(told("2026-11-29T10:00:20Z"), "in less than a minute");
  assert.equal(told("2026-11-29T09:58:20Z"), "2 minutes ago");
  assert.equal(told("2026-11-29T10:59:40Z"), "in 1 hour");
  assert.equal(told("2026-11-29T07:00:00Z"), "3 hours ago");
  assert.equal(told("2026-11-29T19:40:00Z"), "in 10 hours");
});

test("days are those of the calendar of the reader", () => {
  assert.equal(told("2026-11-30T10:00:00Z"), "tomorrow");
  assert.equal(told("2026-12-01T09:59:59Z"), "in 2 days");
  assert.equal(told("2026-11-27T11:00:00Z"), "2 days ago");
  assert.equal(told("2026-11-28T05:00:00Z"), "yesterday");
  assert.equal(told("2026-11-28T05:00:00Z", "America/Los_Angeles"), "2 days ago");
  assert.equal(told("2026-12-29T09:59:59Z"), "in 30 days");
  // On the day that the clocks are set back, a day of 25 hours has two moments 24 hours apart.
  const midnight = Date.parse("2026-10-24T22:10:00Z");
  assert.equal(told("2026-10-25T22:10:00Z", "Europe/Berlin", midnight), "today");
});

test("no month and no year is told by name", () => {
  assert.equal(told("2026-12-31T09:00:00Z"), "in 32 days");
  assert.equal(told("2027-02-27T10:00:00Z"), "in 3 months");
  assert.equal(told("2027-11-29T10:00:00Z"), "in 12 months");
  assert.equal(told("2023-12-01T10:00:00Z"), "3 years ago");
});

test("a range ends with today, in UTC", () => {
  assert.equal(startOf("1d", NOW), "2026-11-29T00:00:00.000Z");
  assert.equal(startOf("7d", NOW), "2026-11-23T00:00:00.000Z");
});
