// Time and chance, which tests put in place of the real ones.

/** What a client measures time with. */
export interface Clock {
  /** Milliseconds from anywhere, which only grow. */
  now(): number;
  /** Milliseconds since 1970. */
  wall(): number;
  /**
   * Call a function once, in so many milliseconds; return what prevents it.
   *
   * A timer in the `background` does not keep the program alive.
   */
  timer(ms: number, then: () => void, background?: boolean): () => void;
}

/** The longest time that a timer of JavaScript waits; it takes a longer one as none at all. */
const LONGEST_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  timer(ms, then, background = false) {
    const timer: unknown = setTimeout(then, Math.min(ms, LONGEST_MS));
    // A number in browsers, and an object elsewhere.
    if (background) (timer as { unref?: () => void }).unref?.();
    return () => clearTimeout(timer as number);
  },
};

/** Wait so many milliseconds; throws the reason of the signal if that comes first. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const aborted = (): void => {
      cancel();
      reject(signal?.reason);
    };
    const cancel = clock.timer(ms, () => {
      signal?.removeEventListener("abort", aborted);
      resolve();
    });
    signal?.addEventListener("abort", aborted, { once: true });
  });
}
