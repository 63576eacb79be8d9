/// <reference types="node" />
// `antiphon/node`: what needs files, for Node.js, Deno and Bun.

import * as fs from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { inUse, lock } from "./map/lock.ts";
import { MapFileError, type MapStore } from "./map/store.ts";

/** How many bytes may wait to be written together. */
const HELD_BYTES = 1 << 20;
const READ_BYTES = 1 << 16;
const LINE_BREAK = 10;
/** Requests and answers stand in the file: they are nobody else's. */
const OWNERS = 0o600;
/** How each file of a map begins. */
const HEADER = Buffer.from('{"type":"map",');

const fsync = promisify(fs.fsync);

/**
 * Keeps the lines of a map in a file, which only grows.
 *
 * A program that is killed leaves at most a torn last line. A file beside it, `….lock`, tells that
 * a map works with it; one that a killed program left is taken over.
 */
export class FileStore implements MapStore {
  readonly #path: string;
  #file: number | undefined;
  #unlock: () => void = () => {};
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  /** How much of the file is written. */
  #size = 0;

  constructor(path: string | URL) {
    this.#path = path instanceof URL ? fileURLToPath(path) : path;
  }

  async *open(): AsyncGenerator<[place: number, line: string]> {
    if (this.#file !== undefined) throw inUse(this.#path);
    const unlock = lock(`${target(this.#path)}.lock`, this.#path);
    try {
      this.#file = fs.openSync(this.#path, fs.constants.O_RDWR | fs.constants.O_CREAT, OWNERS);
    } catch (error) {
      unlock();
      throw error;
    }
    this.#unlock = unlock;
    this.#size = 0;
    for (const line of wholeLines(this.#opened)) {
      const place = this.#size;
      this.#size += line.length + 1;
      yield [place, new TextDecoder().decode(line)];
    }
    if (!this.#size && !isBegun(readAt(this.#opened, 0, HEADER.length))) {
      throw new MapFileError(`${this.#path} is no file of a map`);
    }
    fs.ftruncateSync(this.#opened, this.#size);
  }

  append(line: string): number {
    const place = this.#size + this.#heldBytes;
    const bytes = new TextEncoder().encode(`${line}\n`);
    this.#held.push(bytes);
    this.#heldBytes += bytes.length;
    if (this.#heldBytes >= HELD_BYTES) this.#flush();
    return place;
  }

  async read(place: number): Promise<string> {
    this.#flush();
    const parts: Uint8Array[] = [];
    for (let at = place; ; ) {
      const part = readAt(this.#opened, at, parts.length ? READ_BYTES : READ_BYTES / 16);
      const end = part.indexOf(LINE_BREAK);
      parts.push(end < 0 ? part : part.subarray(0, end));
      at += part.length;
      if (end >= 0 || !part.length) break;
    }
    return Buffer.concat(parts).toString("utf-8");
  }

  async sync(): Promise<void> {
    this.#flush();
    await fsync(this.#opened);
  }

  async close(): Promise<void> {
    if (this.#file === undefined) return;
    try {
      this.#flush();
    } finally {
      const file = this.#file;
      this.#file = undefined;
      fs.closeSync(file);
      this.#unlock();
    }
  }

  get #opened(): number {
    if (this.#file === undefined) throw new MapFileError(`${this.#path} is not open`);
    return this.#file;
  }

  /** Write what is held. After an error all of it is still held, and is written in its place. */
  #flush(): void {
    if (!this.#heldBytes) return;
    const bytes = Buffer.concat(this.#held);
    for (let done = 0; done < bytes.length; ) {
      done += fs.writeSync(this.#opened, bytes, done, bytes.length - done, this.#size + done);
    }
    this.#held = [];
    this.#heldBytes = 0;
    this.#size += bytes.length;
  }
}

function* wholeLines(file: number): Generator<Uint8Array> {
  let begun: Uint8Array[] = [];
  for (let at = 0; ; ) {
    const part = readAt(file, at, READ_BYTES);
    if (!part.length) return;
    at += part.length;
    let start = 0;
    for (let end = part.indexOf(LINE_BREAK); end >= 0; end = part.indexOf(LINE_BREAK, start)) {
      yield Buffer.concat([...begun, part.subarray(start, end)]);
      begun = [];
      start = end + 1;
    }
    begun.push(part.subarray(start));
  }
}

function readAt(file: number, at: number, size: number): Uint8Array {
  const buffer = Buffer.allocUnsafe(size);
  return buffer.subarray(0, fs.readSync(file, buffer, 0, size, at));
}

/** Return whether a torn line may be what is left of the first of a map. */
function isBegun(line: Uint8Array): boolean {
  const length = Math.min(line.length, HEADER.length);
  return HEADER.subarray(0, length).equals(line.subarray(0, length));
}

/** Return the file that a path leads to, so that two paths to it have one lock. */
function target(path: string): string {
  try {
    return fs.realpathSync(path);
  } catch {
    return path; // It is made, or its folder is missing, which is told when it is opened.
  }
}
