// One rate limit as a line. A rule of values alone; times are milliseconds.
//
// A limit is a bucket that refills all the time. Here it is a line: each call takes a *place* behind
// the one before it, at a distance of what it costs, and may be sent when the *front* has reached its
// place. The front moves by the limit's rate, and never further ahead of the last call that was sent
// than the bucket holds. So calls are sent in their order, each at its own moment, and what turns out
// cheaper than it was taken for moves the front for everybody.

export const MINUTE_MS = 60_000;
/** Calls arrive this much apart from how they were sent, at most: the front keeps behind by it. */
const LATE_MS = 1000;
const LEFT_BY_A_STOP = 0.7;
const SMALLEST_SHARE = 0.05;
/** A refusal leaves a part of the rate; so much of the whole comes back each millisecond. */
const SHARE_BACK = 0.000_005;
/** Refusals within so many milliseconds are one. */
const TOGETHER_MS = 3000;
/** Of so many calls at least it is remembered when they were sent. */
const REMEMBERED = 4096;

/** What an answer says of one limit: what it allows in a minute, and what is left of it. */
export interface Told {
  limit: number;
  remaining: number;
}

/** One limit: the places that were taken, and the front. */
export class Line {
  readonly #burst: number;
  readonly #saidByCaller: number | undefined;
  #limit = 0;
  #taken = 0;
  #sent = 0;
  #front = 0;
  #at: number;
  /** Of what comes back: less than all after a refusal. */
  #share = 1;
  #stoppedAt = Number.NEGATIVE_INFINITY;
  /** When the last calls were sent, and their places: what may have reached the server by when. */
  readonly #sentTimes: number[] = [];
  readonly #sentPlaces: number[] = [];

  constructor(limit: number | undefined, burst: number, now: number) {
    this.#burst = burst;
    this.#saidByCaller = limit;
    this.#at = now;
    if (limit !== undefined) this.#set(limit, now);
  }

  get isKnown(): boolean {
    return this.#limit > 0;
  }

  /** Take a place behind all others; return it. */
  take(cost: number): number {
    this.#taken += cost;
    return this.#taken;
  }

  /** Return how long until a call may be sent, if the front moves by its rate alone. */
  wait(place: number, cost: number, now: number): number {
    if (!this.isKnown || cost <= 0) return 0;
    this.#move(now);
    // What no bucket holds is granted by a full one, which is then in debt.
    const needed = Math.min(cost, this.#held) + this.#late;
    return Math.max(0, (place - cost + needed - this.#front) / this.#rate);
  }

  /** Note that the call of a place is sent. */
  send(place: number, now: number): void {
    this.#move(now);
    this.#sent = Math.max(this.#sent, place);
    if (this.#sentTimes.length >= 2 * REMEMBERED) {
      this.#sentTimes.splice(0, REMEMBERED);
      this.#sentPlaces.splice(0, REMEMBERED);
    }
    this.#sentTimes.push(now);
    this.#sentPlaces.push(this.#sent);
  }

  /** Forget a place that was left before its call was sent. Whoever waits behind it moves up. */
  closeGap(place: number, cost: number): void {
    this.#taken -= cost;
    // Calls behind it may have been sent already.
    if (place < this.#sent) this.#sent -= cost;
  }

  /**
   * Move the front by what was sent and not used; a negative amount moves it back.
   *
   * A full bucket gets no fuller.
   */
  giveBack(amount: number, now: number): void {
    this.#move(now);
    const moved = this.#front + amount;
    this.#front = this.isKnown ? Math.min(moved, Math.max(this.#front, this.#full)) : moved;
  }

  /**
   * Take over what an answer says of the limit, of about the moment when its call was sent.
   *
   * Others may use the limit as well: then less is left than was counted here, and the front goes
   * back. Calls that were sent a little later may have come first, so they count. The front does not
   * go ahead, as calls that are on their way may not be counted there.
   */
  learn(told: Told, sentAt: number, now: number): void {
    const limit = Math.min(told.limit, this.#saidByCaller ?? Number.POSITIVE_INFINITY);
    if (limit !== this.#limit) this.#set(limit, now);
    this.#move(now);
    const since = ((now - sentAt) * limit) / MINUTE_MS;
    const at = lastUpTo(this.#sentTimes, sentAt + LATE_MS);
    const sent = this.#sentPlaces[at] ?? this.#sent;
    this.#front = Math.min(this.#front, sent + told.remaining + since);
  }

  /**
   * Note that the bucket is empty: the server has refused a call.
   *
   * That happens if others use the limit as well. Then they need a share of what comes back.
   */
  stop(now: number): void {
    this.#move(now);
    this.#front = Math.min(this.#front, this.#sent);
    if (now - this.#stoppedAt >= TOGETHER_MS) {
      this.#stoppedAt = now;
      this.#share = Math.max(SMALLEST_SHARE, this.#share * LEFT_BY_A_STOP);
    }
  }

  #set(limit: number, now: number): void {
    if (this.isKnown) {
      this.#move(now);
      this.#limit = limit;
    } else {
      this.#limit = limit;
      this.#at = now;
      this.#front = this.#full;
    }
  }

  /** How much may be sent at once. */
  get #held(): number {
    return Math.max(this.#limit * this.#burst, Math.min(this.#limit, 1));
  }

  /** Where the front stands when the bucket is full. */
  get #full(): number {
    return this.#sent + this.#held + this.#late;
  }

  /** How far the front moves in a millisecond. */
  get #rate(): number {
    return (this.#limit / MINUTE_MS) * this.#share;
  }

  /** How far the front is kept ahead, as calls do not arrive as they were sent. */
  get #late(): number {
    return (this.#limit / MINUTE_MS) * LATE_MS;
  }

  #move(now: number): void {
    const passed = Math.max(0, now - this.#at);
    this.#at = Math.max(this.#at, now);
    if (!this.isKnown) return;
    const moved = this.#front + passed * this.#rate;
    this.#front = Math.min(moved, Math.max(this.#front, this.#full));
    this.#share = Math.min(1, this.#share + passed * SHARE_BACK);
  }
}

/** Return the index of the last of these ascending numbers that is no larger; -1 if none is. */
function lastUpTo(ascending: readonly number[], most: number): number {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ascending[middle] as number) <= most) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
