import assert from "node:assert/strict";
import { test } from "node:test";
import { type Place, placeOf } from "../src/rules/saving.ts";

const PLACE: Place = { createWritable: () => Promise.resolve(new WritableStream()) };

/** Ask a window that ends with `error` after a time. */
function ended(error: Error, afterMs: number): Promise<Place | "downloads" | null> {
  let time = 1000;
  const pick = () => {
    time += afterMs;
    return Promise.reject(error);
  };
  return placeOf(pick, "a.jsonl", () => time);
}

test("the place is the one that the person chooses, under the name that is offered", async () => {
  const offered: string[] = [];
  const pick = ({ suggestedName }: { suggestedName: string }) => {
    offered.push(suggestedName);
    return Promise.resolve(PLACE);
  };
  assert.equal(await placeOf(pick, "a.jsonl"), PLACE);
  assert.deepEqual(offered, ["a.jsonl"]);
});

test("a file goes to the downloads where no window opens", async () => {
  assert.equal(await placeOf(undefined, "a.jsonl"), "downloads");
  assert.equal(await ended(new DOMException("no click", "SecurityError"), 0), "downloads");
  assert.equal(await ended(new DOMException("no screen", "AbortError"), 3), "downloads");
});

test("whoever closes the window wants no file", async () => {
  assert.equal(await ended(new DOMException("closed", "AbortError"), 900), null);
});
