import assert from "node:assert/strict";
import { test } from "node:test";
import { choices } from "../src/rules/people.ts";

const ADA = { id: "user_01ada001", name: "Ada" };
const BOB = { id: "user_01bob002", name: "Bob" };
const OTHER = { id: "user_01bob003", name: "Bob" };

test("people are told apart by their addresses", () => {
  const addresses = new Map([[ADA.id, "ada@example.org"]]);
  assert.deepEqual(choices([ADA, BOB], addresses), [
    { value: ADA.id, label: "Ada (ada@example.org)" },
    { value: BOB.id, label: "Bob" },
  ]);
});

test("people of one name are told apart without addresses", () => {
  const labels = choices([ADA, BOB, OTHER], new Map()).map(({ label }) => label);
  assert.deepEqual(labels, ["Ada", "Bob (…bob002)", "Bob (…bob003)"]);
});
