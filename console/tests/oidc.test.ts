import assert from "node:assert/strict";
import { test } from "node:test";
import { answerIn, pageToReturnTo } from "../src/rules/oidc.ts";

test("an answer has a code, a state and a purpose", () => {
  assert.deepEqual(answerIn("?code=a%20b&state=sign_in.x&iss=https%3A%2F%2Fid"), {
    code: "a b",
    state: "sign_in.x",
    iss: "https://id",
    purpose: "sign_in",
  });
  assert.deepEqual(answerIn("?code=a&state=link.x"), {
    code: "a",
    state: "link.x",
    purpose: "link",
  });
});

test("a fault is told in own words, whatever the address says", () => {
  const told = answerIn("?error=access_denied&error_description=Call+555&state=sign_in.x");
  assert.ok("fault" in told && told.fault.startsWith("The sign-in was ended there"));
  for (const search of ["?error=<b>x", "?error=toString", "", "?code=a", "?state=b"]) {
    const other = answerIn(search);
    assert.ok("fault" in other && !/[<>]|native code/.test(other.fault), search);
  }
});

test("only the Console's own pages are returned to", () => {
  for (const page of ["/console/", "/console/usage?by=model&range=7d", "/console/workspaces/w_1"]) {
    assert.equal(pageToReturnTo(page), page);
  }
  for (const other of [
    null,
    "",
    "/",
    "//evil.example.org/console/",
    "/console",
    "/console//evil.example.org/../../../x",
    "/console/../evil",
    "/console/\\..\\..\\evil",
    "https://evil.example.org/console/",
    "javascript:alert(1)",
    "/console/oidc?code=a&state=b",
  ]) {
    assert.equal(pageToReturnTo(other), "/console/", String(other));
  }
});
