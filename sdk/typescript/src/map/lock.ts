/// <reference types="node" />
// The lock of a map's file: another file beside it, which says whose it is. Node.js has no locks of
// files.

import { randomUUID } from "node:crypto";
import * as fs from "node:fs";
import { MapFileInUseError } from "./store.ts";

const OWNERS = 0o600;

/** Which run of which program has a lock. `start` is known on Linux alone. */
interface Owner {
  process?: number;
  began?: number;
  start?: string | undefined;
  run?: string;
}

/** Lock a file by another one; return what unlocks it. Throws `MapFileInUseError`. */
export function lock(path: string, of: string): () => void {
  const own: Owner = {
    process: process.pid,
    // Not from the time of day, which may be set meanwhile.
    began: Math.round(performance.timeOrigin),
    start: startOf(process.pid),
    run: randomUUID(),
  };
  const text = JSON.stringify(own);
  for (let tries = 0; tries < 3; tries++) {
    if (make(path, text)) return () => unlock(path, text);
    const found = textOf(path);
    if (found === undefined) continue; // It was left meanwhile.
    if (isHeld(found, own)) throw inUse(of, path);
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

/** Return the error of a file that another map works with. */
export function inUse(path: string, lock?: string): MapFileInUseError {
  const hint = lock ? `. If none does, remove ${lock}` : "";
  return new MapFileInUseError(`${path}: another map works with this file${hint}`);
}

/** Make a lock with its text at once, so that nobody takes it for one that is torn. */
function make(path: string, text: string): boolean {
  const made = `${path}.${randomUUID()}`;
  try {
    fs.writeFileSync(made, text, { flag: "wx", mode: OWNERS });
    try {
      fs.linkSync(made, path);
    } catch (error) {
      if (codeOf(error) === "EEXIST") throw error;
      // A file system without links to files.
      fs.writeFileSync(path, text, { flag: "wx", mode: OWNERS });
    }
    return true;
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
    return false;
  } finally {
    fs.rmSync(made, { force: true });
  }
}

/** Remove a lock, unless somebody has removed it, and another program has made one. */
function unlock(path: string, text: string): void {
  if (textOf(path) === text) fs.rmSync(path, { force: true });
}

/** Return what stands in a lock: "" of a link to nothing, `undefined` if there is none. */
function textOf(path: string): string | undefined {
  try {
    return fs.readFileSync(path, "utf-8");
  } catch (error) {
    // What cannot be read may be another user's: it is not taken over.
    if (codeOf(error) !== "ENOENT") throw error;
    return fs.lstatSync(path, { throwIfNoEntry: false }) ? "" : undefined;
  }
}

/** Return whether the program still runs that has written a lock. */
function isHeld(text: string, own: Owner): boolean {
  let said: Owner;
  try {
    said = Object(JSON.parse(text));
  } catch {
    return false; // It was killed while it wrote.
  }
  const id = Number(said.process);
  if (!(id > 0)) return false; // 0 and less are groups of processes.
  // A number is given again, as in containers, and after a start of the machine: the program that
  // has it now began at another time.
  const start = startOf(id);
  if (start !== undefined && said.start !== undefined) return start === said.start;
  if (id === own.process) return Math.abs(Number(said.began) - Number(own.began)) < 1000;
  try {
    process.kill(id, 0);
    return true;
  } catch (error) {
    return codeOf(error) === "EPERM";
  }
}

/** Return when a process began, and since which start of the machine; `undefined` if unknown. */
function startOf(id: number): string | undefined {
  try {
    const stat = fs.readFileSync(`/proc/${id}/stat`, "utf-8");
    // The name of the program stands in brackets, and may have any character.
    const began = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    return `${fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf-8").trim()} ${began}`;
  } catch {
    return undefined;
  }
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown }).code;
}
