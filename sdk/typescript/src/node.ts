/// <reference types="node" />
// `antiphon/node`: what needs files, for Node.js, Deno and Bun.

import { randomUUID } from "node:crypto";
import * as fs from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { MapFileError, MapFileInUseError, type MapStore } from "./map/store.ts";

/** How many bytes may wait to be written together. */
const HELD_BYTES = 1 << 20;
const READ_BYTES = 1 << 16;
const LINE_BREAK = 10;
/** Requests and answers stand in the file: they are nobody else's. */
const OWNERS = 0o600;

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
    this.#unlock = lock(`${this.#path}.lock`, this.#path);
    this.#file = fs.openSync(this.#path, fs.constants.O_RDWR | fs.constants.O_CREAT, OWNERS);
    this.#size = 0;
    for (const line of wholeLines(this.#opened)) {
      const place = this.#size;
      this.#size += line.length + 1;
      yield [place, new TextDecoder().decode(line)];
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

/** Lock a file by another one; return what unlocks it. Throws `MapFileInUseError`. */
function lock(path: string, of: string): () => void {
  const began = Math.round(Date.now() - process.uptime() * 1000);
  const own = JSON.stringify({ process: process.pid, began, run: randomUUID() });
  for (let tries = 0; tries < 3; tries++) {
    try {
      fs.writeFileSync(path, own, { flag: "wx", mode: OWNERS });
      return () => fs.rmSync(path, { force: true });
    } catch (error) {
      if ((error as { code?: string }).code !== "EEXIST") throw error;
    }
    const found = textOf(path);
    if (isHeld(found, began)) throw inUse(of, path);
    // Moved away before it is removed: another program may have taken it over meanwhile.
    const aside = `${path}.${randomUUID()}`;
    try {
      fs.renameSync(path, aside);
    } catch {
      continue; // Somebody else was first.
    }
    if (textOf(aside) !== found) fs.renameSync(aside, path);
    else fs.rmSync(aside, { force: true });
  }
  throw inUse(of, path);
}

function textOf(path: string): string {
  try {
    return fs.readFileSync(path, "utf-8");
  } catch {
    return "";
  }
}

/** Return whether the program still runs that has written a lock. */
function isHeld(lock: string, began: number): boolean {
  let said: { process?: number; began?: number };
  try {
    said = JSON.parse(lock);
  } catch {
    return false; // It was killed while it wrote.
  }
  const id = Number(said.process);
  // A number is given again, as in containers: a program of ours began at another time.
  if (id === process.pid) return Math.abs(Number(said.began) - began) < 1000;
  try {
    process.kill(id, 0);
    return true;
  } catch (error) {
    return (error as { code?: string }).code === "EPERM";
  }
}

function inUse(path: string, lock?: string): MapFileInUseError {
  const hint = lock ? `. If none does, remove ${lock}` : "";
  return new MapFileInUseError(`${path}: another map works with this file${hint}`);
}
