import assert from "node:assert/strict";
import { test } from "node:test";
import type { EngineState, ModelState } from "../src/api/types.ts";
import {
  engineName,
  engineRows,
  errorInWords,
  memoryOf,
  partsOf,
  queueOf,
  slotsOf,
  speedOf,
  takeOverOf,
  toldOf,
} from "../src/rules/models.ts";

const ENGINE: EngineState = {
  number: 1,
  engine: "llama",
  status: "ready",
  running: 0,
  waiting: null,
  slots: null,
  busy_slots: null,
  left_out_s: null,
  restarts: null,
  last_failure: null,
  last_error: null,
  memory: null,
  speed: null,
};
const MEMORY = {
  process_bytes: 1_200_000_000,
  batch_process_bytes: null,
  weights_bytes: 98_000_000,
  kv_bytes_per_token: 23_040,
  kv_bytes: 755_000_000,
};

function model(...engines: EngineState[]): ModelState {
  return {
    id: "m",
    type: "model_state",
    display_name: "M",
    status: "ready",
    context_tokens: 8192,
    max_output_tokens: 8192,
    running: 0,
    waiting: 0,
    batch_running: 0,
    batch_waiting: 0,
    engines,
  };
}

test("a model that takes over says how far it is", () => {
  const over = {
    of: "toy",
    fetched_bytes: 1_200_000_000,
    total_bytes: 2_700_000_000,
    reason: null,
  };
  const waiting = { ...model(), status: "fetching" as const, takes_over: over };
  assert.equal(
    takeOverOf(waiting),
    "M takes over from toy when it is loaded. 1.2 GB of 2.7 GB are here.",
  );
  const loading = { ...waiting, status: "loading" as const };
  assert.equal(takeOverOf(loading), "M takes over from toy when it is loaded.");
  const failed = {
    ...waiting,
    status: "failed" as const,
    takes_over: { ...over, reason: "no disk" },
  };
  assert.equal(takeOverOf(failed), "M cannot take over, so toy goes on: no disk");
  assert.equal(takeOverOf({ ...failed, takes_over: over }), "M cannot take over, so toy goes on.");
  assert.equal(takeOverOf(model(ENGINE)), null);
});

test("an engine has a number where a model has several", () => {
  const pair = model(ENGINE, { ...ENGINE, number: 2, engine: "messages_api" });
  assert.deepEqual(engineRows([pair]).map(engineName), ["1. llama", "2. messages_api"]);
  assert.deepEqual(engineRows([model(ENGINE)]).map(engineName), ["llama"]);
});

test("what is not known is a dash, and never a zero", () => {
  assert.equal(slotsOf(ENGINE), null);
  assert.equal(memoryOf(ENGINE), "–");
  assert.deepEqual(partsOf(ENGINE), []);
  assert.equal(speedOf(null), "–");
  const partly = { ...MEMORY, process_bytes: null, kv_bytes: null, kv_bytes_per_token: null };
  assert.equal(memoryOf({ ...ENGINE, memory: partly }), "–");
  assert.deepEqual(partsOf({ ...ENGINE, memory: partly }), ["weights 98.0 MB"]);
});

test("memory, slots, speeds and queues are told in short", () => {
  assert.equal(slotsOf({ ...ENGINE, slots: 4, busy_slots: 1 }), "1 of 4");
  assert.equal(memoryOf({ ...ENGINE, memory: MEMORY }), "1.2 GB");
  assert.deepEqual(
    partsOf({ ...ENGINE, memory: { ...MEMORY, batch_process_bytes: 800_000_000 } }),
    ["and 800 MB for batches", "weights 98.0 MB", "KV of its slots 755 MB", "23.0 kB a token"],
  );
  assert.deepEqual([41.26, 99.99, 1234.5].map(speedOf), ["41.3", "100.0", "1,235"]);
  assert.equal(queueOf({ running: 3, waiting: 0 }), "3");
  assert.equal(queueOf({ running: 3, waiting: 1200 }), "3, 1,200 wait");
});

test("an error is told by its kind, also one of a later release", () => {
  assert.equal(errorInWords({ at: "", kind: "timeout" }), "It took too long");
  assert.equal(errorInWords({ at: "", kind: "melted" }), "melted");
});

test("what no engine tells has no column", () => {
  const none = { slots: false, memory: false, restarts: false, byServer: false };
  assert.deepEqual(toldOf(engineRows([model(ENGINE)])), none);
  const speed = {
    prefill_tokens_per_second: 1,
    decode_tokens_per_second: null,
    measured_by: "server" as const,
  };
  const telling = { ...ENGINE, slots: 4, restarts: 0, memory: MEMORY, speed };
  const all = { slots: true, memory: true, restarts: true, byServer: true };
  assert.deepEqual(toldOf(engineRows([model(ENGINE), model(telling)])), all);
});
