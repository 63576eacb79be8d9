// `antiphon/limiter`: keeps any number of tasks under the rate limits of a key.
//
//     const client = new Antiphon({ limiter: new Limiter() });
//
// It reads `anthropic-ratelimit-*` of every answer, so it needs no numbers, and it notices what other
// programs use of the same limits. Where the numbers are known they can be said: then the first calls
// need not wait for an answer to learn them.

import { type Clock, sleep } from "./clock.ts";
import { isRecord } from "./error_body.ts";
import { APIConnectionTimeoutError } from "./errors.ts";
import type { HttpRequest, Pacer } from "./exchange.ts";
import type { Told } from "./limits/line.ts";
import { type Amounts, KINDS, type Kind, Queue, type Waiter } from "./limits/queue.ts";
import { retryAfterMs } from "./retries.ts";
import type { Usage } from "./wire.ts";

const MESSAGES = /\/v1\/messages$/;
/** Endpoints with a limit of their own, of requests alone. */
const OTHERS = /\/v1\/(messages\/count_tokens|messages\/batches|files)(?:\/|$)/;

const FIRST_TOKENS_PER_CHARACTER = 0.35;
const FIRST_OUTPUT = 500;
const FORGETTING = 0.1;
/** How long everybody waits after a refusal that does not say for how long. */
const REFUSED_MS = 1000;
const LARGEST_LIMIT = 1e12;
/** No model has such a context: who says so would stop all others for hours. */
const LARGEST_USAGE = 1e8;
const NOTHING_USED: Readonly<Partial<Amounts>> = { "input-tokens": 0, "output-tokens": 0 };

/** What of the limits is known, and how to keep them. Numbers are those of a minute. */
export interface LimiterOptions {
  requestsPerMinute?: number | undefined;
  inputTokensPerMinute?: number | undefined;
  outputTokensPerMinute?: number | undefined;
  /**
   * The share of a limit that may go at once. 1, which is the rule of Antiphon and of the published
   * API; less spreads the first calls.
   */
  burst?: number | undefined;
  /** A call that would wait longer than so many milliseconds for its turn is not sent. */
  timeout?: number | undefined;
  /** Tells which models share limits, by returning the same text. By default each stands alone. */
  group?: ((model: string) => string) | undefined;
}

/** A call was not sent: it would have waited for its turn longer than the limiter allows. */
export class LimiterTimeoutError extends APIConnectionTimeoutError {}

/**
 * Lets each call go when the limits allow it, in the order of the calls.
 *
 * One limiter may serve any number of clients. Throws `TypeError` for numbers that cannot be.
 */
export class Limiter implements Pacer {
  readonly #limits: Partial<Amounts> = {};
  readonly #burst: number;
  readonly #timeout: number;
  readonly #groupOf: (model: string) => string;
  readonly #groups: Map<string, Group> = new Map();
  readonly #sent: WeakMap<HttpRequest, Sent> = new WeakMap();
  readonly #streams: WeakMap<Response, Sent> = new WeakMap();

  constructor(options: LimiterOptions = {}) {
    const { requestsPerMinute, inputTokensPerMinute, outputTokensPerMinute } = options;
    const said = [requestsPerMinute, inputTokensPerMinute, outputTokensPerMinute];
    for (const [at, limit] of said.entries()) {
      if (limit === undefined) continue;
      if (!(limit > 0)) throw new TypeError(`a limit is ${limit}; it is more than 0`);
      this.#limits[KINDS[at] as Kind] = limit;
    }
    this.#burst = options.burst ?? 1;
    if (!(this.#burst > 0 && this.#burst <= 1)) {
      throw new TypeError(`burst is ${this.#burst}; it is more than 0 and at most 1`);
    }
    this.#timeout = options.timeout ?? Number.POSITIVE_INFINITY;
    this.#groupOf = options.group ?? ((model) => model);
  }

  async turn(request: HttpRequest, clock: Clock, signal: AbortSignal): Promise<void> {
    const sent = this.#entered(request, clock);
    if (!sent) return;
    const { waiter } = sent;
    const { queue } = sent.group;
    try {
      for (;;) {
        if (signal.aborted) throw signal.reason;
        const now = clock.now();
        const wait = queue.ask(waiter, now);
        if (!wait) break;
        const whole = now - waiter.since + queue.wait(waiter, now);
        if (whole > this.#timeout) throw this.#late(request, whole);
        await sleep(clock, wait, signal);
      }
    } catch (error) {
      queue.leave(waiter);
      throw error;
    }
    this.#sent.set(request, sent);
  }

  answered(request: HttpRequest, response?: Response, value?: unknown): void {
    const sent = this.#sent.get(request);
    if (!sent) return;
    this.#sent.delete(request);
    const { waiter, clock, isMessage } = sent;
    const { queue } = sent.group;
    const now = clock.now();
    if (!response) {
      queue.lose();
      return;
    }
    const told = readLimits(response.headers, isMessage ? KINDS : ["requests"]);
    if (response.status >= 500 && !Object.keys(told).length) {
      // Perhaps a proxy says it, and the limits are still unknown.
      queue.lose();
      queue.correct(waiter, NOTHING_USED, now);
      return;
    }
    if (response.status === 429) {
      const pause = retryAfterMs(response.headers, clock.wall()) ?? REFUSED_MS;
      queue.refused(waiter, told, Math.max(0, pause), now);
      return;
    }
    let used: Partial<Amounts> = {};
    if (!isMessage) {
      // It has used nothing beside itself.
    } else if (response.status >= 400) used = NOTHING_USED;
    else if (isRecord(value) && isRecord(value.usage)) {
      used = learn(sent, value.usage as unknown as Usage);
    } else this.#streams.set(response, sent);
    queue.answered(waiter, told, used, now);
  }

  ended(response: Response, usage: Usage): void {
    const sent = this.#streams.get(response);
    if (!sent) return;
    this.#streams.delete(response);
    sent.group.queue.correct(sent.waiter, learn(sent, usage), sent.clock.now());
  }

  /** Give a call its place; `null` for one that no limit is known for. */
  #entered(request: HttpRequest, clock: Clock): Sent | null {
    const { pathname } = new URL(request.url);
    const isMessage = request.method === "POST" && MESSAGES.test(pathname);
    const { model, max_tokens } = (request.params ?? {}) as { model?: string; max_tokens?: number };
    const name = isMessage ? `model ${this.#groupOf(model ?? "")}` : OTHERS.exec(pathname)?.[1];
    if (name === undefined) return null;
    const now = clock.now();
    let group = this.#groups.get(name);
    if (!group) {
      const queue = new Queue(isMessage ? this.#limits : {}, this.#burst, now);
      group = { queue, tokensPerCharacter: FIRST_TOKENS_PER_CHARACTER, isGuess: true };
      this.#groups.set(name, group);
    }
    const size = typeof request.body === "string" ? request.body.length : 0;
    // What a program gives in place of a number is the server's to refuse.
    const most = Number(max_tokens) || Number.POSITIVE_INFINITY;
    const output = Math.min(group.output ?? FIRST_OUTPUT, most);
    const waiter = group.queue.enter(
      {
        requests: 1,
        "input-tokens": isMessage ? size * group.tokensPerCharacter : 0,
        "output-tokens": isMessage ? Math.max(1, output) : 0,
      },
      now,
    );
    return { group, waiter, clock, size, isMessage };
  }

  #late({ method, url }: HttpRequest, whole: number): LimiterTimeoutError {
    const seconds = Math.ceil(whole / 1000);
    return new LimiterTimeoutError(
      `${method} ${new URL(url).pathname}: its turn would come after ${seconds} s, and the limiter ` +
        `allows ${this.#timeout / 1000} s (\`timeout\`)`,
    );
  }
}

/** The calls that share limits, and what is known of their sizes. */
interface Group {
  readonly queue: Queue;
  tokensPerCharacter: number;
  isGuess: boolean;
  output?: number;
}

interface Sent {
  readonly group: Group;
  readonly waiter: Waiter;
  readonly clock: Clock;
  /** The characters of its body. */
  readonly size: number;
  readonly isMessage: boolean;
}

/**
 * Learn from a usage how large the next calls will be; return what it says is used of the limits.
 *
 * The input follows the largest share of tokens that was seen lately, as a guess that is too low
 * would be refused. The output is a mean: it is charged when it is there.
 */
function learn({ group, size }: Sent, usage: Usage): Partial<Amounts> {
  const input = (usage.input_tokens ?? 0) + (usage.cache_creation_input_tokens ?? 0);
  const output = usage.output_tokens ?? 0;
  if (!(isAmount(input) && isAmount(output))) return {};
  const share = input / Math.max(1, size);
  if (group.isGuess || share > group.tokensPerCharacter) group.tokensPerCharacter = share;
  else group.tokensPerCharacter -= FORGETTING * (group.tokensPerCharacter - share);
  group.isGuess = false;
  group.output = (group.output ?? output) + FORGETTING * (output - (group.output ?? output));
  return { "input-tokens": input, "output-tokens": output };
}

function isAmount(tokens: unknown): boolean {
  return typeof tokens === "number" && tokens >= 0 && tokens <= LARGEST_USAGE;
}

/**
 * Return what the headers of an answer say of limits; of some, or of none.
 *
 * What can be no limit is left out: waiting for it might have no end.
 */
export function readLimits(
  headers: Headers,
  kinds: readonly Kind[] = KINDS,
): Partial<Record<Kind, Told>> {
  const found: Partial<Record<Kind, Told>> = {};
  for (const kind of kinds) {
    const said = (what: string): number =>
      Number.parseFloat(headers.get(`anthropic-ratelimit-${kind}-${what}`) ?? "");
    const [limit, remaining] = [said("limit"), said("remaining")];
    if (limit >= 1 && limit <= LARGEST_LIMIT && Number.isFinite(remaining)) {
      found[kind] = { limit, remaining: Math.min(Math.max(remaining, 0), limit) };
    }
  }
  return found;
}
