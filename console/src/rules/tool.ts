// A tool that uses the server, and what it is set up with.

import type { Model } from "../api/types.ts";

/** Lines to copy, and where they go. */
export interface Way {
  place: string;
  text: string;
}

export interface Tool {
  id: string;
  name: string;
  /** The shortest way first. */
  ways: readonly Way[];
}

/** What stands for a key that is not known. */
export const NO_KEY = "sk-antiphon-…";

/** A model with its sizes in tokens: of its context window, and of its longest answer. */
export type Sized = Pick<Model, "id" | "display_name" | "max_input_tokens" | "max_tokens">;

/** What stands for a model where the server has none. */
export const NO_MODEL: Sized = {
  id: "claude-local",
  display_name: "claude-local",
  max_input_tokens: null,
  max_tokens: null,
};
