/** Return the parsed `data` of each server-sent event of a stream, as the events arrive. */
export async function* events(stream: ReadableStream<Uint8Array>): AsyncGenerator<unknown> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    while (true) {
      const { done, value } = await reader.read();
      rest += decoder.decode(value ?? new Uint8Array(), { stream: !done });
      // A \r at the end may be the first half of a \r\n.
      const whole = rest.endsWith("\r") && !done ? rest.slice(0, -1) : rest;
      const blocks = whole.split(/\r\n\r\n|\n\n|\r\r/);
      rest = (blocks.pop() ?? "") + rest.slice(whole.length);
      for (const block of blocks) {
        const data = dataOf(block);
        if (data !== null) yield JSON.parse(data);
      }
      if (done) return;
    }
  } finally {
    // A reader that stops early ends the request, and so the work of the server.
    await reader.cancel().catch(() => undefined);
  }
}

function dataOf(block: string): string | null {
  const lines = block
    .split(/\r\n|\n|\r/)
    .filter((line) => line.startsWith("data:"))
    .map((line) => line.slice(5).replace(/^ /, ""));
  return lines.length ? lines.join("\n") : null;
}
