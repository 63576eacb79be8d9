// A call that was made: a promise of its result, which can give the answer itself as well.

import type { Reply } from "./exchange.ts";

/**
 * The promise of a result.
 *
 * `withResponse()` gives the answer's head beside the result, `asResponse()` the answer unread.
 */
export class Call<T> implements Promise<T> {
  readonly #reply: Promise<Reply<T | undefined>>;
  #isRaw = false;

  /** `run` sends the request; it reads the answer, unless it is told to leave it as it is. */
  constructor(run: (isRaw: boolean) => Promise<Reply<T | undefined>>) {
    // Sent a moment later, so that `asResponse()` is said in time.
    this.#reply = Promise.resolve().then(() => run(this.#isRaw));
  }

  /** Return the answer, whose body the caller reads. To be called at once. */
  async asResponse(): Promise<Response> {
    this.#isRaw = true;
    return (await this.#reply).response;
  }

  /** Return the result with the answer's head, its request id and how often it was repeated. */
  async withResponse(): Promise<{
    data: T;
    response: Response;
    requestId: string | null;
    /** `requestId`, by the name of the official SDK. */
    request_id: string | null;
    retries: number;
  }> {
    const { value, response, requestId, retries } = await this.#reply;
    return { data: value as T, response, requestId, request_id: requestId, retries };
  }

  // biome-ignore lint/suspicious/noThenProperty: it is a promise
  then<A = T, B = never>(
    done?: ((value: T) => A | PromiseLike<A>) | null,
    failed?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#value().then(done, failed);
  }

  catch<B = never>(failed?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<T | B> {
    return this.#value().catch(failed);
  }

  finally(settled?: (() => void) | null): Promise<T> {
    return this.#value().finally(settled);
  }

  get [Symbol.toStringTag](): string {
    return "Call";
  }

  #value(): Promise<T> {
    return this.#reply.then((reply) => reply.value as T);
  }
}
