// Who may send when: the calls that share limits. A rule of values alone; times are milliseconds.

import { Line, type Told } from "./line.ts";

/** As long as nothing is known of a limit, so many calls run at once. */
const PROBES = 4;
/** Nobody waits longer without asking again: the front may have moved. */
const ASKED_AGAIN_MS = 5000;
/** A refusal holds the others no longer: in a minute every limit has come back. */
const LONGEST_HOLD_MS = 60_000;

export const KINDS = ["requests", "input-tokens", "output-tokens"] as const;
export type Kind = (typeof KINDS)[number];
export type Amounts = Record<Kind, number>;

/** One call that waits, or was sent: what it may cost, and its places. */
export interface Waiter {
  readonly costs: Amounts;
  readonly places: Amounts;
  readonly since: number;
  sentAt: number;
}

/** The calls that share limits, in the order in which they came. */
export class Queue {
  readonly #lines: Record<Kind, Line>;
  /** In the order of their places. */
  readonly #waiting: Set<Waiter> = new Set();
  /** Those that have left, whose places are not closed yet. */
  readonly #left: Set<Waiter> = new Set();
  #running = 0;
  #hasAnswer: boolean;
  #heldUntil: number;

  constructor(limits: Partial<Amounts>, burst: number, now: number) {
    const line = (kind: Kind): Line => new Line(limits[kind], burst, now);
    this.#lines = byKind(line);
    this.#hasAnswer = KINDS.some((kind) => this.#lines[kind].isKnown);
    this.#heldUntil = now;
  }

  /** Let a call take its places behind all others. It is sent, or it leaves. */
  enter(costs: Amounts, now: number): Waiter {
    this.#closeGaps();
    const places = byKind((kind) => this.#lines[kind].take(costs[kind]));
    const waiter = { costs, places, since: now, sentAt: now };
    this.#waiting.add(waiter);
    return waiter;
  }

  /** Return how long until a call may be sent, as far as is known now. */
  wait({ places, costs }: Waiter, now: number): number {
    this.#closeGaps();
    const waits = KINDS.map((kind) => this.#lines[kind].wait(places[kind], costs[kind], now));
    return Math.max(...waits, this.#heldUntil - now, 0);
  }

  /** Return 0 if a call is to be sent now, else after how long it asks again. */
  ask(waiter: Waiter, now: number): number {
    let wait = this.wait(waiter, now);
    if (!this.#hasAnswer && this.#running >= PROBES) {
      // The more wait for the first answer, the more seldom each of them asks.
      wait = Math.max(wait, 100 + 5 * this.#waiting.size);
    }
    // So short a wait that no clock moves would be asked for again for ever.
    if (wait > 0) return Math.max(1, Math.min(wait, ASKED_AGAIN_MS));
    this.#waiting.delete(waiter);
    this.#running++;
    waiter.sentAt = now;
    for (const kind of KINDS) this.#lines[kind].send(waiter.places[kind], now);
    return 0;
  }

  /** Give the places of a waiting call to those behind it. Those before it have nothing of that. */
  leave(left: Waiter): void {
    if (this.#waiting.has(left)) this.#left.add(left);
  }

  /** Close the gaps of all that have left together, as thousands may be aborted at once. */
  #closeGaps(): void {
    if (!this.#left.size) return;
    const closed = byKind(() => 0);
    for (const waiter of this.#waiting) {
      const { places, costs } = waiter;
      for (const kind of KINDS) places[kind] -= closed[kind];
      if (!this.#left.has(waiter)) continue;
      this.#waiting.delete(waiter);
      for (const kind of KINDS) {
        this.#lines[kind].closeGap(places[kind], costs[kind]);
        closed[kind] += costs[kind];
      }
    }
    this.#left.clear();
  }

  /** Note that a call that was sent gets no answer. What it may have used stays taken. */
  lose(): void {
    this.#running--;
  }

  /** Note a refusal for a limit: it was not charged, and nobody else is sent for a while. */
  refused(waiter: Waiter, told: Partial<Record<Kind, Told>>, pauseMs: number, now: number): void {
    this.#end();
    this.#closeGaps();
    this.#heldUntil = Math.max(this.#heldUntil, now + Math.min(pauseMs, LONGEST_HOLD_MS));
    this.#learn(waiter, told, now);
    for (const kind of KINDS) {
      this.#lines[kind].giveBack(waiter.costs[kind], now);
      const left = told[kind]?.remaining ?? 0;
      if (left < Math.max(1, waiter.costs[kind])) this.#lines[kind].stop(now);
    }
  }

  /** Note an answer, and what it has used of the limits of which it says that. */
  answered(
    waiter: Waiter,
    told: Partial<Record<Kind, Told>>,
    used: Partial<Amounts>,
    now: number,
  ): void {
    this.#end();
    this.#closeGaps();
    this.correct(waiter, used, now);
    this.#learn(waiter, told, now);
  }

  /** Note what a call has used, in place of what was guessed. */
  correct({ costs }: Waiter, used: Partial<Amounts>, now: number): void {
    for (const kind of KINDS) {
      const amount = used[kind];
      if (amount !== undefined) this.#lines[kind].giveBack(costs[kind] - amount, now);
    }
  }

  #end(): void {
    this.lose();
    this.#hasAnswer = true;
  }

  #learn({ sentAt }: Waiter, told: Partial<Record<Kind, Told>>, now: number): void {
    for (const kind of KINDS) {
      const said = told[kind];
      if (said) this.#lines[kind].learn(said, sentAt, now);
    }
  }
}

/** Return what a function gives for each kind. */
function byKind<T>(made: (kind: Kind) => T): Record<Kind, T> {
  return Object.fromEntries(KINDS.map((kind) => [kind, made(kind)])) as Record<Kind, T>;
}
