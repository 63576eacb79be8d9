// The keys that lead to pages: "g", then a letter.

/** The letter of each page, by its path. */
export const LETTERS: Record<string, string> = {
  "/": "o",
  "/playground": "p",
  "/keys": "k",
  "/connect": "c",
  "/batches": "b",
  "/files": "f",
  "/models": "m",
  "/requests": "r",
  "/prompt-cache": "h",
  "/usage": "u",
  "/cost": "s",
  "/limits": "l",
  "/workspaces": "w",
  "/members": "e",
  "/audit": "a",
};

/** How long the "g" waits for its letter, in milliseconds. */
export const PATIENCE_MS = 1500;

export type Deed = { to: string } | "filter" | "help" | "wait" | null;

export interface Pressed {
  key: string;
  /** Whether a key that changes others is held; Shift is none of them. */
  held: boolean;
  /** Whether the key goes into a field, or a window is open. */
  typing: boolean;
}

/** Return what a key does; `waits` says whether a "g" came before it. */
export function deedOf(pressed: Pressed, waits: boolean, paths: readonly string[]): Deed {
  if (pressed.held || pressed.typing) return null;
  const key = pressed.key.toLowerCase();
  if (waits) {
    const to = paths.find((path) => LETTERS[path] === key);
    return to === undefined ? null : { to };
  }
  if (key === "g") return "wait";
  if (key === "/") return "filter";
  return key === "?" ? "help" : null;
}
