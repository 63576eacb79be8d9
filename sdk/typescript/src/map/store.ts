// Where a map keeps what has happened.

import { AntiphonError } from "../errors.ts";

/** The lines of a map cannot be used; the text says why. */
export class MapFileError extends AntiphonError {}

/** Another map works with the same lines. */
export class MapFileInUseError extends MapFileError {}

/**
 * Keeps the lines of a map in their order: `FileStore` of `antiphon/node` in a file, a program of its
 * own wherever it likes. A line has no line break.
 */
export interface MapStore {
  /**
   * Take the store for one run, and give the lines that stand there with their places.
   *
   * A last line that is torn is left out and forgotten. Throws `MapFileInUseError`.
   */
  open(): AsyncIterable<[place: number, line: string]>;
  /** Append a line; return its place. It may be kept later than this returns. */
  append(line: string): number;
  /** Return a line that was given or appended. */
  read(place: number): Promise<string>;
  /** Bring what was appended where it survives the end of the program, and of its machine. */
  sync(): Promise<void>;
  /** Leave the store to others. Closing twice changes nothing. */
  close(): Promise<void>;
}

/** Keeps the lines as long as the program runs. */
export class MemoryStore implements MapStore {
  readonly #lines: string[] = [];

  async *open(): AsyncGenerator<[number, string]> {
    yield* this.#lines.entries();
  }

  append(line: string): number {
    return this.#lines.push(line) - 1;
  }

  async read(place: number): Promise<string> {
    return this.#lines[place] as string;
  }

  async sync(): Promise<void> {}

  async close(): Promise<void> {}
}
