import assert from "node:assert/strict";
import { test } from "node:test";
import type { Setting } from "../src/api/types.ts";
import {
  changesOf,
  daysInWords,
  deciding,
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
  file_line: "port = 9000",
  variable_line: "ANTIPHON_PORT=9000",
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

test("a setting is changed where it is set; a variable and a flag win over the file", () => {
  const lines = (setting: Setting) => changesOf(setting).map(({ where, line }) => [where, line]);
  assert.deepEqual(lines(PORT), [
    ["In the environment of the server", "ANTIPHON_PORT=9000"],
    ["Or, without the variable, in antiphon.toml", "port = 9000"],
  ]);
  assert.match(deciding(PORT) ?? "", /variable ANTIPHON_PORT decides/);
  const place = "/etc/a: b/antiphon.toml: port";
  const inFile: Setting = { ...PORT, source: "file", place };
  assert.deepEqual(lines(inFile), [
    ["In /etc/a: b/antiphon.toml", "port = 9000"],
    ["Or in the environment of the server", "ANTIPHON_PORT=9000"],
  ]);
  assert.equal(deciding(inFile), null);
  assert.match(deciding({ ...PORT, source: "flag", place: "--port" }) ?? "", /flag --port decides/);
  const proxies: Setting = { ...inFile, source: "default", place: null, variable_line: null };
  assert.deepEqual(lines(proxies), [["In antiphon.toml", "port = 9000"]]);
});
