import assert from "node:assert/strict";
import { test } from "node:test";
import type { FileStorage } from "../src/api/types.ts";
import {
  blockOf,
  FOR_EVER,
  firstFile,
  LIVES,
  lifeOf,
  refusalOf,
  roomOf,
} from "../src/rules/files.ts";
import { filesSearch } from "../src/rules/searches.ts";

const STORAGE: FileStorage = {
  type: "file_storage",
  workspace_id: "w",
  used_bytes: 1_200_000,
  quota_bytes: null,
  free_bytes: 5_000_000,
  largest_file_bytes: 4_000_000,
  downloadable: false,
};

test("a block names a file as a document or as an image, and others not at all", () => {
  const block = (mime_type: string) => JSON.parse(blockOf({ id: "file_1", mime_type }) ?? "null");
  const source = { type: "file", file_id: "file_1" };
  assert.deepEqual(block("application/pdf"), { type: "document", source });
  assert.deepEqual(block("text/plain"), { type: "document", source });
  assert.deepEqual(block("image/webp"), { type: "image", source });
  assert.equal(block("application/zip"), null);
});

test("the room says what is used and left, and of which quota", () => {
  assert.equal(roomOf(STORAGE), "1.2 MB used, 5.0 MB left");
  assert.equal(
    roomOf({ ...STORAGE, quota_bytes: 6_200_000 }),
    "1.2 MB used, 5.0 MB left of 6.2 MB",
  );
});

test("a file that is too large is refused before it is sent", () => {
  assert.equal(refusalOf(4_000_000, STORAGE), null);
  assert.match(refusalOf(4_000_001, STORAGE) ?? "", /at most 4\.0 MB/);
  assert.match(refusalOf(11, { ...STORAGE, free_bytes: 10 }) ?? "", /10 B are left/);
  assert.equal(refusalOf(1e15, undefined), null);
});

test("a life is one that the API takes, or none", () => {
  assert.equal(lifeOf(FOR_EVER), null);
  for (const { value } of LIVES.slice(1)) {
    const seconds = lifeOf(value);
    assert.ok(seconds !== null && seconds >= 3600 && seconds <= 7_776_000, value);
  }
});

test("the first program is of this server and of one of its models", () => {
  const program = firstFile('http://x"', 'a"b');
  assert.match(program, /base_url="http:\/\/x\\""/);
  assert.match(program, /model="a\\"b"/);
});

test("the address of a page of files says its workspace and its place", () => {
  assert.deepEqual(filesSearch({ workspace: "wrkspc_1", page: "abc", q: "x" }), {
    workspace: "wrkspc_1",
    page: "abc",
  });
  assert.deepEqual(filesSearch({ workspace: "../x", page: 3 }), {});
});
