type Values = Record<string, unknown> | null;

/** One value that a change has changed; `before` is null for a new object, `after` for a removed one. */
export interface Difference {
  name: string;
  before: string | null;
  after: string | null;
}

/** Return what differs between the values of an object before and after a change. */
export function differences(before: Values, after: Values): Difference[] {
  const names = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])];
  return names
    .map((name) => ({ name, before: said(before?.[name]), after: said(after?.[name]) }))
    .filter((one) => one.before !== one.after);
}

function said(value: unknown): string | null {
  if (value === undefined || value === null) return null;
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Return an action such as "api_key.rotate" in words: "Api key: rotate". */
export function inWords(action: string): string {
  const words = action.replaceAll("_", " ").replace(".", ": ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
