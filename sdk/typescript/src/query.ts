// Paths and queries of the API.

export type QueryValue = string | number | boolean | Date | null | undefined;
export type Query = Readonly<Record<string, QueryValue | readonly QueryValue[]>>;

/**
 * Return a path of the API; steps that are ids may hold any character.
 *
 * Throws `TypeError` for an empty step: it would name another object, or a list.
 */
export function pathOf(...steps: string[]): string {
  for (const step of steps) {
    if (typeof step !== "string" || !step) throw new TypeError("an id is empty");
    if (step === "." || step === "..") throw new TypeError("an id cannot be `.` or `..`");
  }
  return `/v1/${steps.map(encodeURIComponent).join("/")}`;
}

/** Return a path with its query: lists are `name[]=…`; what is absent or `null` is left out. */
export function withQuery(path: string, query: object = {}): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query as Query)) {
    if (Array.isArray(value)) for (const item of value) params.append(`${name}[]`, text(item));
    else if (value !== undefined && value !== null) params.append(name, text(value as QueryValue));
  }
  const written = params.toString();
  return written ? `${path}?${written}` : path;
}

function text(value: QueryValue): string {
  return value instanceof Date ? value.toISOString() : String(value);
}
