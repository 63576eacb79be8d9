import assert from "node:assert/strict";
import { test } from "node:test";
import { events } from "../src/rules/sse.ts";

function streamOf(parts: Uint8Array[], onCancel: () => void = () => undefined) {
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      const part = parts.shift();
      if (part) controller.enqueue(part);
      else controller.close();
    },
    cancel: onCancel,
  });
}

async function all(parts: Uint8Array[]): Promise<unknown[]> {
  const found = [];
  for await (const event of events(streamOf(parts))) found.push(event);
  return found;
}

const TEXT =
  'event: a\ndata: {"n":1}\n\nevent: b\r\ndata: {"t":"é😀"}\r\n\r\n: a comment\n\ndata:{"n":\ndata: 3}\n\n';

test("events are the same however the bytes are cut", async () => {
  const bytes = new TextEncoder().encode(TEXT);
  const expected = [{ n: 1 }, { t: "é😀" }, { n: 3 }];
  for (let size = 1; size <= bytes.length; size++) {
    const parts = [];
    for (let at = 0; at < bytes.length; at += size) parts.push(bytes.slice(at, at + size));
    assert.deepEqual(await all(parts), expected, `pieces of ${size}`);
  }
});

test("what follows the last whole event is no event", async () => {
  assert.deepEqual(await all([new TextEncoder().encode('data: {"n":1}\n\ndata: {"n"')]), [
    { n: 1 },
  ]);
});

test("a reader that stops ends the stream", async () => {
  let canceled = false;
  const bytes = new TextEncoder().encode('data: {"n":1}\n\ndata: {"n":2}\n\n');
  const stream = streamOf([bytes, bytes], () => {
    canceled = true;
  });
  for await (const _ of events(stream)) break;
  assert.ok(canceled);
});
