// JSON lines of an answer, read as they come.

import { APIError, APIResponseValidationError } from "./errors.ts";
import { lost } from "./exchange.ts";

/** Yield the values of the lines. Leaving the loop early closes the connection. */
export async function* jsonLines<T>(response: Response): AsyncGenerator<T> {
  const reader = response.body?.getReader() as ReadableStreamDefaultReader<Uint8Array> | undefined;
  if (!reader) return;
  const utf8 = new TextDecoder();
  let pieces: string[] = [];
  try {
    for (let done = false; !done; ) {
      const piece = await read(reader);
      done = piece.done;
      const lines = utf8.decode(piece.value, { stream: !done }).split("\n");
      // The first ends what came before, and the last is not whole yet.
      pieces.push(lines[0] as string);
      for (const line of done ? [...lines.slice(1), ""] : lines.slice(1)) {
        const text = pieces.join("");
        pieces = [line];
        if (text.trim()) yield lineValue<T>(text, response);
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

async function read(
  reader: ReadableStreamDefaultReader<Uint8Array>,
): Promise<{ done: boolean; value?: Uint8Array | undefined }> {
  try {
    return await reader.read();
  } catch (error) {
    throw error instanceof APIError ? error : lost("the lines broke off", error, 0);
  }
}

function lineValue<T>(text: string, response: Response): T {
  try {
    return JSON.parse(text) as T;
  } catch {
    const requestId = response.headers.get("request-id");
    throw new APIResponseValidationError("a line is no JSON", response.status, requestId);
  }
}
