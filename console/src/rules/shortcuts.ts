// The keys that lead to pages: "g", then a letter.

import type { ENTRIES } from "./permissions.ts";

/** The letter of each page, by its path. */
export const LETTERS = {
  "/overview": "o",
  "/playground": "p",
  "/keys": "k",
  "/connect": "c",
  "/batches": "b",
  "/files": "f",
  "/models": "m",
  "/requests": "r",
  "/cache": "h",
  "/usage": "u",
  "/cost": "s",
  "/limits": "l",
  "/workspaces": "w",
  "/members": "e",
  "/audit": "a",
  "/settings": "t",
} as const satisfies Record<(typeof ENTRIES)[number]["path"], string>;

/** Return the letter of a page, if it has one. */
export function letterOf(path: string): string | undefined {
  return (LETTERS as Record<string, string>)[path];
}

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
    const to = paths.find((path) => letterOf(path) === key);
    return to === undefined ? null : { to };
  }
  if (key === "g") return "wait";
  if (key === "/") return "filter";
  return key === "?" ? "help" : null;
}
