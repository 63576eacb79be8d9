import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { MapFileError, MapFileInUseError } from "../src/batches.ts";
import { FileStore } from "../src/node.ts";
import { caught } from "./support.ts";

const path = (): string => join(fs.mkdtempSync(join(tmpdir(), "antiphon-map-")), "rows.map");

/** Open a store, and return the lines that stand in it. */
async function opened(store: FileStore): Promise<string[]> {
  const lines: string[] = [];
  for await (const [, line] of store.open()) lines.push(line);
  return lines;
}

test.each(['{"my": "data"}', "\u0000\u0001 a picture", '{"type":"mop",'])(
  "a file that is no map's, and has no line, stays what it is: %j",
  async (text) => {
    const file = path();
    fs.writeFileSync(file, text);
    const store = new FileStore(file);
    expect(await caught(opened(store))).toBeInstanceOf(MapFileError);
    await store.close();
    expect(fs.readFileSync(file, "utf-8")).toBe(text);
    expect(fs.readdirSync(join(file, ".."))).toEqual(["rows.map"]);
  },
);

test("a file whose first line is torn is begun again", async () => {
  const file = path();
  for (const text of ["", "{", '{"type":"map","version":1,"id":"a']) {
    fs.writeFileSync(file, text);
    const store = new FileStore(file);
    expect(await opened(store)).toEqual([]);
    await store.close();
    expect(fs.readFileSync(file, "utf-8")).toBe("");
  }
});

test("a file that cannot be opened leaves no lock", async () => {
  const file = path();
  fs.mkdirSync(file);
  const store = new FileStore(file);
  expect((await caught(opened(store))).message).toMatch(/EISDIR/);
  await store.close();
  expect(fs.readdirSync(join(file, ".."))).toEqual(["rows.map"]);
});

test("a file has one lock, by whatever path it is reached", async () => {
  const file = path();
  fs.writeFileSync(file, "");
  fs.symlinkSync(file, `${file}.link`);
  const store = new FileStore(file);
  await opened(store);
  expect(await caught(opened(new FileStore(`${file}.link`)))).toBeInstanceOf(MapFileInUseError);
  await store.close();
  const other = new FileStore(`${file}.link`);
  expect(await opened(other)).toEqual([]);
  expect(await caught(opened(new FileStore(file)))).toBeInstanceOf(MapFileInUseError);
  await other.close();
});

test("a lock is there with its text at once", async () => {
  const file = path();
  const store = new FileStore(file);
  await opened(store);
  const lock = `${file}.lock`;
  expect(JSON.parse(fs.readFileSync(lock, "utf-8"))).toMatchObject({ process: process.pid });
  // A link made it, and what it was linked from is gone.
  expect(fs.statSync(lock).nlink).toBe(1);
  expect(fs.readdirSync(join(file, ".."))).toEqual(["rows.map", "rows.map.lock"]);
  await store.close();
});

test("a lock of a number that another program has now is taken over", async () => {
  const file = path();
  const lock = `${file}.lock`;
  const left = { process: process.ppid, began: 0, run: "a" };
  if (process.platform === "linux") {
    fs.writeFileSync(lock, JSON.stringify({ ...left, start: "another-start-of-the-machine 1" }));
    const store = new FileStore(file);
    expect(await opened(store)).toEqual([]);
    await store.close();
  }
  // Where nobody knows when it began, it may be the one.
  fs.writeFileSync(lock, JSON.stringify(left));
  expect(await caught(opened(new FileStore(file)))).toBeInstanceOf(MapFileInUseError);
});

test.each(["", "{", "null", "[]", '{"process":0}', '{"process":-1}', '{"process":"x"}'])(
  "a lock that no program has is taken over: %j",
  async (text) => {
    const file = path();
    fs.writeFileSync(`${file}.lock`, text);
    const store = new FileStore(file);
    expect(await opened(store)).toEqual([]);
    await store.close();
    fs.symlinkSync("/nothing/at/all", `${file}.lock`);
    expect(await opened(store)).toEqual([]);
    await store.close();
  },
);

test("a lock that cannot be read is not taken over", async () => {
  const file = path();
  fs.mkdirSync(`${file}.lock`);
  expect((await caught(opened(new FileStore(file)))).message).toMatch(/EISDIR/);
  expect(fs.readdirSync(join(file, ".."))).toEqual(["rows.map.lock"]);
});

test("a store removes no lock but its own", async () => {
  const file = path();
  const store = new FileStore(file);
  await opened(store);
  fs.writeFileSync(`${file}.lock`, "of another");
  await store.close();
  expect(fs.readFileSync(`${file}.lock`, "utf-8")).toBe("of another");
});
