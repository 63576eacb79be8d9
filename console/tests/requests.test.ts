import assert from "node:assert/strict";
import { test } from "node:test";
import type { LoggedRequest, RefusedBy, RequestExplanation } from "../src/api/types.ts";
import {
  cacheReason,
  callerWithoutKey,
  duration,
  errorName,
  isEarly,
  isLogged,
  keysOf,
  outcomeOf,
  ownerName,
  phasesOf,
  promptTokens,
  rateName,
  refusal,
  requestIdIn,
  summary,
  tokenTypeName,
  waitOf,
} from "../src/rules/requests.ts";
import { requestsSearch } from "../src/rules/searches.ts";
import { localInput, momentOf } from "../src/rules/times.ts";

const nameOf = (scope: string, id: string) => `the ${scope} ${id}`;
const LATENCY = {
  total_ms: 100,
  queue_ms: null,
  money_ms: null,
  parked_ms: null,
  prefill_ms: null,
  decode_ms: null,
};
const USAGE = {
  input_tokens: 1,
  cache_creation: { ephemeral_5m_input_tokens: 20, ephemeral_1h_input_tokens: 300 },
  cache_read_input_tokens: 4000,
  output_tokens: 1234,
  thinking_tokens: 0,
};

function logged(changes: Partial<RequestExplanation> = {}): RequestExplanation {
  return {
    status: 200,
    error_type: null,
    served_model: "m",
    latency: LATENCY,
    usage: USAGE,
    refused_by: null,
    ...changes,
  } as RequestExplanation;
}

function refused(changes: Partial<RefusedBy>): RefusedBy {
  return {
    kind: "rate_limit",
    limit: 1000,
    scope: "workspace",
    scope_id: "w",
    type: "requests_per_minute",
    held: false,
    retry_after_ms: null,
    buckets: [],
    ...changes,
  };
}

test("a duration is told in the unit that fits it, and never as 1000 ms or 60 s", () => {
  assert.deepEqual(
    [null, 0, 0.4, 999.4, 999.6, 1240, 59_940, 59_960, 125_000, 3_720_000].map(duration),
    [
      "–",
      "0 ms",
      "< 1 ms",
      "999 ms",
      "1 s",
      "1.24 s",
      "59.9 s",
      "1 min 0 s",
      "2 min 5 s",
      "1 h 2 min",
    ],
  );
});

test("a request ended well, was refused, failed, or its caller hung up", () => {
  const outcome = (status: number, error_type: string | null = null) =>
    outcomeOf({ status, error_type });
  assert.deepEqual(outcome(200), { label: "OK", color: "green" });
  assert.deepEqual(outcome(429, "rate_limit_error"), { label: "Rate limit", color: "yellow" });
  assert.deepEqual(outcome(500, "api_error"), { label: "Server error", color: "red" });
  assert.deepEqual(outcome(499), { label: "Hung up", color: "gray" });
  // An answer that broke off after its first words.
  assert.equal(outcome(200, "overloaded_error").color, "red");
  assert.equal(errorName("request_too_large"), "Request too large");
});

test("a request that only the ledger has is looked at again while it is new", () => {
  const ended_at = "2026-11-01T00:00:00.000Z";
  const now = Date.parse(ended_at);
  assert.ok(isEarly({ recorded: false, ended_at }, now + 1000));
  assert.ok(!isEarly({ recorded: true, ended_at }, now + 1000));
  assert.ok(!isEarly({ recorded: false, ended_at }, now + 60_000));
});

test("all of a request's time is told, in its order", () => {
  const phases = (latency: Partial<LoggedRequest["latency"]>) =>
    phasesOf({ latency: { ...LATENCY, ...latency } }).map(({ name, ms }) => [name, ms]);
  assert.deepEqual(phases({ queue_ms: 10, money_ms: 20, prefill_ms: 30, decode_ms: 35 }), [
    ["Waiting for a place", 10],
    ["Waiting for money", 20],
    ["Reading the prompt", 30],
    ["Writing the answer", 35],
    ["Everything else", 5],
  ]);
  assert.deepEqual(phases({ parked_ms: 60, prefill_ms: 40 }), [
    ["Making way for interactive requests", 60],
    ["Reading the prompt", 40],
  ]);
  assert.deepEqual(phases({}), [["Everything else", 100]]);
  // The clocks of the parts are not one clock.
  assert.deepEqual(phases({ decode_ms: 101 }), [["Writing the answer", 101]]);
});

test("all waits of a request are one, and none is no wait of nothing", () => {
  assert.equal(waitOf(LATENCY), null);
  assert.equal(waitOf({ ...LATENCY, queue_ms: 0 }), 0);
  assert.equal(waitOf({ ...LATENCY, queue_ms: 1, money_ms: 2, parked_ms: 4 }), 7);
});

test("the id of a request is found in what somebody pastes", () => {
  assert.equal(requestIdIn(" req_011CSHoEeqs5C35K2UUqR7Fy \n"), "req_011CSHoEeqs5C35K2UUqR7Fy");
  assert.equal(
    requestIdIn(`Error code: 429 - {'type': 'error', 'request_id': 'req_01ab'} - see`),
    "req_01ab",
  );
  assert.equal(requestIdIn("workerreq_0112"), "workerreq_0112");
  assert.equal(requestIdIn("the one of yesterday"), null);
  assert.equal(requestIdIn("../../users"), null);
  assert.equal(requestIdIn(""), null);
});

test("the log has the calls of keys, and none of administration", () => {
  for (const path of ["/v1/messages", "/v1/messages/count_tokens", "/v1/models"]) {
    assert.ok(isLogged(path));
  }
  for (const path of ["/v1/organizations/api_keys", "/v1/console/session", "/v1/modelsx"]) {
    assert.ok(!isLogged(path));
  }
});

test("a refusal names the limit, whose it is, and when the request would have passed", () => {
  assert.equal(
    refusal(refused({ retry_after_ms: 12_000 }), nameOf),
    "The rate limit of 1,000 requests a minute of the workspace w was used up, and would have passed 12 s later.",
  );
  const money = refused({ kind: "spend_limit", type: "daily", limit: "12.5" });
  assert.equal(
    refusal(money, nameOf),
    "The daily spend limit of $0.125 of the workspace w does not cover what the request could have cost.",
  );
  assert.match(
    refusal({ ...money, held: true }, nameOf),
    /^What was left of the daily .* was held/,
  );
  // Who may not see costs gets no amount.
  assert.match(refusal({ ...money, limit: null }, nameOf), /^The daily spend limit of the work/);
  const queue = refused({ kind: "queue", limit: 3, scope: null, scope_id: null });
  assert.equal(
    refusal(queue, nameOf),
    "The queue was full: 3 requests were waiting for the model.",
  );
});

test("a summary tells in one sentence how a request ended", () => {
  assert.equal(summary(logged(), nameOf), "Answered in 100 ms with 1,234 tokens.");
  assert.equal(summary(logged({ served_model: null }), nameOf), "Answered after 100 ms.");
  assert.match(summary(logged({ status: 499 }), nameOf), /hung up after 100 ms/);
  const broken = logged({ status: 500, error_type: "api_error" });
  assert.match(summary(broken, nameOf), /engine broke/);
  assert.match(summary({ ...broken, status: 200 }, nameOf), /broke off\.$/);
  assert.match(summary(logged({ status: 418, error_type: "new_error" }), nameOf), /new_error/);
  const limited = logged({ status: 429, error_type: "rate_limit_error", refused_by: refused({}) });
  assert.match(summary(limited, nameOf), /^The rate limit of 1,000/);
});

test("every token of a prompt counts, and unknown names are shown as they are", () => {
  assert.equal(promptTokens(USAGE), 4321);
  assert.match(cacheReason("no-entry"), /^No entry/);
  assert.match(cacheReason("thoughts-taken-back"), /until the next question/);
  assert.equal(cacheReason("some-new-one"), "some new one.");
  assert.equal(rateName("output_tokens_per_minute"), "output tokens a minute");
  assert.equal(rateName("new_rate"), "new rate");
  assert.equal(tokenTypeName("output_tokens"), "Output");
  assert.equal(tokenTypeName("new_tokens"), "new tokens");
});

test("an address of the request log keeps known filters, and drops what is none", () => {
  const whole = {
    status: "4xx",
    error: "rate_limit_error",
    key: "apikey_01",
    model: "owner/name",
    workspace: "wrkspc_01",
    from: "2026-11-01T00:00:00.000Z",
    to: "2026-11-02T00:00:00Z",
    page: "page_x",
  };
  assert.deepEqual(requestsSearch(whole), whole);
  const wrong = {
    status: "3xx",
    key: "a b",
    model: "",
    error: true,
    from: "yesterday",
    to: "2026-99-99T00:00:00Z",
  };
  assert.deepEqual(requestsSearch({ ...wrong, page: {} }), {});
  // The router reads a text of digits as a number.
  assert.deepEqual(requestsSearch({ model: 5 }), { model: "5" });
});

test("a local time that is typed is the time of the API that it shows", () => {
  const iso = "2026-11-01T12:34:00.000Z";
  assert.equal(momentOf(localInput(iso)), iso);
  assert.equal(momentOf(""), undefined);
  assert.equal(momentOf("soon"), undefined);
});

test("whose limit it was is told by its name, and by the id of what is gone", () => {
  const names = {
    organization: "Antiphon",
    workspace: (id: string) => (id === "wrkspc_1" ? "Research" : id),
    keys: new Map([["apikey_1", "laptop"]]),
  };
  assert.equal(ownerName("organization", "org", names), "Antiphon");
  assert.equal(ownerName("workspace", "wrkspc_1", names), "the workspace Research");
  assert.equal(ownerName("key", "apikey_1", names), "the key laptop");
  assert.equal(ownerName("key", "apikey_2", names), "the key apikey_2");
  assert.equal(ownerName("team", "t", names), "team t");
});

test("the keys whose limits a request met are asked for their names", () => {
  const bucket = { type: "requests_per_minute", limit: 1, remaining: 0, full_in_ms: 0 };
  const buckets = [
    { ...bucket, scope: "key", scope_id: "apikey_1" },
    { ...bucket, scope: "organization", scope_id: "org" },
  ];
  assert.deepEqual(keysOf(null), []);
  assert.deepEqual(keysOf(refused({ scope: "workspace", scope_id: "w", buckets })), ["apikey_1"]);
  assert.deepEqual(keysOf(refused({ scope: "key", scope_id: "apikey_2" })), ["apikey_2"]);
});

test("a batch without a key was created at the command line", () => {
  assert.equal(callerWithoutKey({ account_id: "user_1", batch_id: null }), "Console");
  assert.equal(callerWithoutKey({ account_id: "user_1", batch_id: "msgbatch_1" }), "Console");
  assert.equal(callerWithoutKey({ account_id: null, batch_id: "msgbatch_1" }), "Command line");
  assert.equal(callerWithoutKey({ account_id: null, batch_id: null }), "Unknown");
});
