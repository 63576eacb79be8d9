import assert from "node:assert/strict";
import { test } from "node:test";
import { csv } from "../src/rules/csv.ts";

test("fields with commas, quotes and line breaks are quoted", () => {
  assert.equal(csv(["name", "n"], [['a "b", c', "1"]]), 'name,n\r\n"a ""b"", c",1\r\n');
  assert.equal(csv(["a"], [["x\ny"]]), 'a\r\n"x\ny"\r\n');
});

test("a name that a spreadsheet would run is text", () => {
  assert.equal(
    csv(["a"], [["=cmd()"], ["+1+1"], ["@x"], ["-5"], ["-x"]]),
    "a\r\n'=cmd()\r\n'+1+1\r\n'@x\r\n-5\r\n'-x\r\n",
  );
});
