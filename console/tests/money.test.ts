import assert from "node:assert/strict";
import { test } from "node:test";
import { centsOfDollars, dollars, dollarsOfCents, nanoDollars } from "../src/rules/money.ts";

test("cents become whole nano-dollars", () => {
  assert.equal(nanoDollars("0"), 0n);
  assert.equal(nanoDollars("12.5"), 125_000_000n);
  assert.equal(nanoDollars("0.0000001"), 1n);
  assert.equal(nanoDollars("-3"), -30_000_000n);
  assert.throws(() => nanoDollars("1e3"), RangeError);
  assert.throws(() => nanoDollars("0.00000001"), RangeError);
});

test("a sum of many small amounts loses nothing", () => {
  let sum = 0n;
  for (let index = 0; index < 100_000; index++) sum += nanoDollars("0.0000001");
  assert.equal(sum, 100_000n);
});

test("dollars have two decimals, and more only if they need them", () => {
  assert.equal(dollarsOfCents("0"), "$0.00");
  assert.equal(dollarsOfCents("12.5"), "$0.125");
  assert.equal(dollarsOfCents("1234567800"), "$12,345,678.00");
  assert.equal(dollarsOfCents("0.0000001"), "$0.000000001");
  assert.equal(dollars(-1_500_000_000n), "-$1.50");
});

test("what a person types becomes cents, or is refused", () => {
  assert.equal(centsOfDollars("20"), "2000");
  assert.equal(centsOfDollars(" $0.50 "), "50");
  assert.equal(centsOfDollars("0,125"), "12.5");
  assert.equal(centsOfDollars("0.000000001"), "0.0000001");
  for (const wrong of ["", "0", "0.00", "-1", "1e3", "ten", "1.2.3", "0.0000000001"]) {
    assert.equal(centsOfDollars(wrong), null, wrong);
  }
});

test("typed dollars and read cents are the same amount", () => {
  for (const typed of ["1", "0.01", "19.99", "0.000000001", "123456789.123456789"]) {
    const cents = centsOfDollars(typed) ?? "";
    assert.equal(dollarsOfCents(cents).replaceAll(/[$,]/g, "").replace(/0+$/, ""), pad(typed));
  }
});

function pad(typed: string): string {
  return (typed.includes(".") ? typed : `${typed}.`).replace(/0+$/, "");
}
