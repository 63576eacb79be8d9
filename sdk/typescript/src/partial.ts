// JSON whose end has not come yet.

import { isRecord } from "./error_body.ts";

/** There is nothing yet, or nothing certain. */
const NOTHING = Symbol("nothing");

/**
 * Return the value of the beginning of a JSON text, as far as it is certain.
 *
 * A string that is not closed ends where it breaks off; a name without a value, and a number or a
 * word that may go on, are left out. Returns `undefined` if nothing is certain.
 */
export function partialJson(text: string): unknown {
  const value = new Reader(text).value();
  return value === NOTHING ? undefined : value;
}

/** The name of an input that is none: its value is what the model wrote. */
export const INVALID_JSON = "INVALID_JSON";

/**
 * Return what a model wrote as the input of a tool, which is an object.
 *
 * Of one that was cut off, as at `max_tokens`, there is the part that is certain; one that is no
 * JSON is `{ INVALID_JSON: text }`.
 */
export function inputOf(text: string): Record<string, unknown> {
  if (!text) return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = partialInput(text);
  }
  return isRecord(value) ? value : { [INVALID_JSON]: text };
}

/** Return the certain part of an input that is not whole; `undefined` if nothing is certain. */
export function inputSoFar(text: string): unknown {
  try {
    return partialJson(text);
  } catch {
    return { [INVALID_JSON]: text };
  }
}

/** Return the certain part of an input, or `null` if it is not the beginning of one. */
function partialInput(text: string): unknown {
  try {
    const reader = new Reader(text);
    const value = reader.value();
    return reader.isAtEnd ? value : null;
  } catch {
    return null; // A word that is none, or deeper than the stack.
  }
}

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get isAtEnd(): boolean {
    return this.#next() === "";
  }

  value(): unknown {
    const sign = this.#next();
    if (sign === "{") return this.#object();
    if (sign === "[") return this.#list();
    if (sign === '"') return this.#string().value;
    return this.#word();
  }

  #object(): Record<string, unknown> {
    const found: Record<string, unknown> = {};
    for (this.#at++; this.#next() === '"'; ) {
      const name = this.#string();
      if (!name.isWhole || this.#next() !== ":") return found;
      this.#at++;
      const value = this.value();
      if (value === NOTHING) return found;
      // As `JSON.parse` does it: `__proto__` is a name like others.
      Object.defineProperty(found, name.value, {
        value,
        configurable: true,
        enumerable: true,
        writable: true,
      });
      if (this.#next() === ",") this.#at++;
    }
    if (this.#next() === "}") this.#at++;
    return found;
  }

  #list(): unknown[] {
    const found: unknown[] = [];
    for (this.#at++; this.#next() !== "" && this.#next() !== "]"; ) {
      const value = this.value();
      if (value === NOTHING) return found;
      found.push(value);
      if (this.#next() === ",") this.#at++;
    }
    this.#at++;
    return found;
  }

  #string(): { value: string; isWhole: boolean } {
    const start = this.#at++;
    let end = this.#at;
    while (end < this.#text.length && this.#text[end] !== '"') {
      const length = this.#text[end] !== "\\" ? 1 : this.#text[end + 1] === "u" ? 6 : 2;
      if (end + length > this.#text.length) break;
      end += length;
    }
    const isWhole = this.#text[end] === '"';
    this.#at = isWhole ? end + 1 : this.#text.length;
    return { value: JSON.parse(`${this.#text.slice(start, end)}"`), isWhole };
  }

  #word(): unknown {
    const word = /[^\s,:{}[\]"]*/y;
    word.lastIndex = this.#at;
    const text = word.exec(this.#text)?.[0] ?? "";
    this.#at += text.length;
    const mayGoOn = this.#at === this.#text.length && !/^(?:true|false|null)$/.test(text);
    return text && !mayGoOn ? JSON.parse(text) : NOTHING;
  }

  /** Return the next sign that is no space, "" at the end. */
  #next(): string {
    while (/\s/.test(this.#text[this.#at] ?? "")) this.#at++;
    return this.#text[this.#at] ?? "";
  }
}
