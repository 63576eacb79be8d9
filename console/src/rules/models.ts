// How models and their engines do, in words.

import type { EngineError, EngineState, ModelState, ModelStatus } from "../api/types.ts";
import { sizeOf } from "./cache.ts";
import { WHOLE } from "./numbers.ts";

/** An engine with the model that it runs. */
export interface EngineRow {
  model: ModelState;
  engine: EngineState;
}

/** Return the engines of all models, in their order. */
export function engineRows(models: readonly ModelState[]): EngineRow[] {
  return models.flatMap((model) => model.engines.map((engine) => ({ model, engine })));
}

/** Return what names an engine: its kind, and its number where a model has several. */
export function engineName({ model, engine }: EngineRow): string {
  return model.engines.length > 1 ? `${engine.number}. ${engine.engine}` : engine.engine;
}

/** The name of each status, and its colour. */
export const STATUSES: Record<ModelStatus, readonly [string, string]> = {
  loading: ["Loading", "yellow"],
  ready: ["Ready", "green"],
  restarting: ["Restarting", "red"],
  left_out: ["Left out", "red"],
  fetching: ["Being fetched", "yellow"],
  failed: ["Failed", "red"],
};

/** Return how a model takes over from another one; null for one that does not. */
export function takeOverOf({ display_name, status, takes_over: over }: ModelState): string | null {
  if (!over) return null;
  if (status === "failed") {
    const why = over.reason ? `: ${over.reason}` : ".";
    return `${display_name} cannot take over, so ${over.of} goes on${why}`;
  }
  const here = over.total_bytes
    ? ` ${sizeOf(over.fetched_bytes)} of ${sizeOf(over.total_bytes)} are here.`
    : "";
  return `${display_name} takes over from ${over.of} when it is loaded.${status === "fetching" ? here : ""}`;
}

/** Return the requests at an engine: "3, 2 wait". */
export function queueOf({ running, waiting }: { running: number; waiting: number | null }): string {
  return waiting
    ? `${WHOLE.format(running)}, ${WHOLE.format(waiting)} wait`
    : WHOLE.format(running);
}

/** Return how many slots work: "1 of 4"; null for an engine without any. */
export function slotsOf({ slots, busy_slots: busy }: EngineState): string | null {
  return slots === null ? null : `${WHOLE.format(busy ?? 0)} of ${WHOLE.format(slots)}`;
}

/** Return a speed: "41.3"; a dash where nothing was measured lately. */
export function speedOf(value: number | null): string {
  if (value === null) return "–";
  return value < 100 ? value.toFixed(1) : WHOLE.format(Math.round(value));
}

/** Return what the process of an engine uses: "1.2 GB"; a dash where the system does not tell. */
export function memoryOf({ memory }: EngineState): string {
  return memory?.process_bytes == null ? "–" : sizeOf(memory.process_bytes);
}

/** Return what else is known of its memory: of its process for batches, its weights and its KV. */
export function partsOf({ memory }: EngineState): string[] {
  if (!memory) return [];
  const { batch_process_bytes: batches, weights_bytes: weights, kv_bytes: kv } = memory;
  const token = memory.kv_bytes_per_token;
  return [
    ...(batches === null ? [] : [`and ${sizeOf(batches)} for batches`]),
    ...(weights === null ? [] : [`weights ${sizeOf(weights)}`]),
    ...(kv === null ? [] : [`KV of its slots ${sizeOf(kv)}`]),
    ...(token === null ? [] : [`${sizeOf(token)} a token`]),
  ];
}

const KINDS: Record<string, string> = {
  overloaded: "It was overloaded",
  timeout: "It took too long",
  failed: "It failed in a request",
};

/** Return an error of a request in words. */
export function errorInWords({ kind }: EngineError): string {
  return KINDS[kind] ?? kind;
}

/** Return which of these is shown: whether any engine tells it. */
export function toldOf(rows: readonly EngineRow[]) {
  const any = (tells: (engine: EngineState) => boolean) => rows.some(({ engine }) => tells(engine));
  return {
    slots: any(({ slots }) => slots !== null),
    memory: any(({ memory }) => memory !== null),
    restarts: any(({ restarts }) => restarts !== null),
    byServer: any(({ speed }) => speed?.measured_by === "server"),
  };
}
