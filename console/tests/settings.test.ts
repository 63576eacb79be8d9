import assert from "node:assert/strict";
import { test } from "node:test";
import type { Setting } from "../src/api/types.ts";
import {
  daysInWords,
  defaultInWords,
  found,
  settingInWords,
  sourceInWords,
  valueInWords,
} from "../src/rules/settings.ts";

const PORT: Setting = {
  name: "port",
  value: 9000,
  default: 8000,
  is_set: true,
  is_secret: false,
  source: "environment",
  place: "ANTIPHON_PORT",
  text: "The port to listen on.",
};
const KEY: Setting = {
  ...PORT,
  name: "api_key",
  value: null,
  default: null,
  is_secret: true,
  source: "default",
  place: null,
  text: "The first key.",
};

test("values have their units, and none is none", () => {
  assert.deepEqual(
    [
      valueInWords("port", 8000),
      valueInWords("max_body_bytes", 33_554_432),
      valueInWords("ping_interval_s", 5),
      valueInWords("request_log_days", 30),
      valueInWords("console.idle_hours", 12),
      valueInWords("limits.requests_per_minute", 1_000_000),
      valueInWords("url_sources", false),
      valueInWords("aliases", ["a", "b"]),
      valueInWords("aliases", []),
      valueInWords("model_id", null),
      valueInWords("host", "127.0.0.1"),
    ],
    [
      "8000",
      "33.6 MB",
      "5 s",
      "30 days",
      "12 hours",
      "1,000,000",
      "no",
      "a, b",
      "none",
      "none",
      "127.0.0.1",
    ],
  );
});

test("a secret says whether it is set", () => {
  assert.equal(settingInWords(KEY), "set, and not shown");
  assert.equal(settingInWords({ ...KEY, is_set: false }), "none");
  assert.equal(defaultInWords(KEY), "–");
  assert.equal(defaultInWords(PORT), "8000");
});

test("a source names its place", () => {
  assert.equal(sourceInWords(PORT), "Environment: ANTIPHON_PORT");
  assert.equal(sourceInWords(KEY), "Default");
});

test("settings are found by words, and by who set them", () => {
  assert.deepEqual(found([PORT, KEY], "LISTEN port", false), [PORT]);
  assert.deepEqual(found([PORT, KEY], "", true), [PORT]);
  assert.deepEqual(found([PORT, KEY], "  ", false), [PORT, KEY]);
});

test("times of keeping are days", () => {
  assert.deepEqual([null, 0, 1, 90].map(daysInWords), ["For ever", "Not kept", "1 day", "90 days"]);
});
