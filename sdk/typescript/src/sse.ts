// Server-sent events, cut anywhere into pieces of bytes.

/**
 * Decodes a stream of events; each text is that of the `data` of one event.
 *
 * No character is looked at twice, so an event of megabytes in small pieces costs no more than in
 * one.
 */
export class EventDecoder {
  readonly #utf8 = new TextDecoder();
  /** The pieces of a line whose end has not come. */
  #pieces: string[] = [];
  #data: string[] = [];
  #endedWithReturn = false;

  /** Take the next bytes; return the data of the events that are whole now. */
  push(bytes: Uint8Array): string[] {
    return this.#read(this.#utf8.decode(bytes, { stream: true }));
  }

  /** Return the data of an event that was left without its last line break. */
  end(): string[] {
    return this.#read("\n\n");
  }

  #read(text: string): string[] {
    const events: string[] = [];
    let start = 0;
    // A line ends with "\r", "\n" or both, which may come in two pieces.
    if (this.#endedWithReturn && text) {
      this.#endedWithReturn = false;
      if (text.startsWith("\n")) start = 1;
    }
    const hasReturns = text.includes("\r", start);
    for (;;) {
      const end = hasReturns ? lineEnd(text, start) : text.indexOf("\n", start);
      if (end < 0) break;
      this.#line(this.#whole(text.slice(start, end)), events);
      start = end + 1;
      if (text[end] === "\r") {
        if (start === text.length) this.#endedWithReturn = true;
        else if (text[start] === "\n") start++;
      }
    }
    if (start < text.length) this.#pieces.push(start ? text.slice(start) : text);
    return events;
  }

  #whole(last: string): string {
    if (!this.#pieces.length) return last;
    const line = this.#pieces.join("") + last;
    this.#pieces = [];
    return line;
  }

  #line(line: string, events: string[]): void {
    if (line === "") {
      if (this.#data.length) {
        events.push(this.#data.length === 1 ? (this.#data[0] as string) : this.#data.join("\n"));
        this.#data = [];
      }
    } else if (line.startsWith("data:")) {
      this.#data.push(line.slice(line[5] === " " ? 6 : 5));
    }
  }
}

function lineEnd(text: string, start: number): number {
  for (let at = start; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 10 || code === 13) return at;
  }
  return -1;
}
