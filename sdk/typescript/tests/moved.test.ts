// Programs with the calls of the official SDK print the same with ours, against a running server.
//
// `printed.json` has what they print with the official SDK; the soak compares it with that again.

import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import * as sdk from "../src/index.ts";

declare const process: { env: Record<string, string | undefined> };

const { ANTIPHON_TEST_URL: baseURL, ANTIPHON_TEST_KEY: apiKey } = process.env;
const HERE = new URL("./moved/", import.meta.url);

// docs/sdk/typescript.md says what is there in their place.
const NOT_HERE = new Set(["zodFormat", "uploadedFile"]);

describe.skipIf(!baseURL)("programs for the official SDK", async () => {
  const { run } = await import(new URL("run.js", HERE).href);
  const recorded: Record<string, string[]> = JSON.parse(
    await readFile(new URL("printed.json", HERE), "utf8"),
  );
  const settings = { baseURL, apiKey, logLevel: "off" };
  const imported = { Anthropic: sdk.default, sdk, betaZodTool: sdk.tool, z, settings };
  const told: Record<string, string[]> = baseURL ? await run(imported) : {};

  test.each(Object.keys(recorded))("%s prints the same", (name) => {
    if (NOT_HERE.has(name)) expect(told[name]).toEqual(["ended by TypeError"]);
    else expect(told[name]).toEqual(recorded[name]);
  });

  test("the page has their count", async () => {
    const page = new URL("../../../docs/sdk/typescript.md", import.meta.url);
    const all = Object.keys(recorded).length;
    expect(Object.keys(told).sort()).toEqual(Object.keys(recorded).sort());
    expect(await readFile(page, "utf8")).toContain(`**${all - NOT_HERE.size} of ${all}** programs`);
  });
});
