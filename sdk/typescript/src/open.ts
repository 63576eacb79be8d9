// What the generated types are open by: words and blocks that this release does not know.

/** A word of a set that may grow: an editor offers the known ones, and any other is legal. */
export type Known<Words extends string> = Words | (string & Record<never, never>);

/** Stands for every other word, so that `block.type === "text"` leaves the text block alone. */
declare enum OtherType {
  any = "a type that this release does not know",
}

/** A block, an event or a part of one whose `type` this release does not know, kept as it came. */
export interface Unknown {
  /** Another word than those of the known types. */
  type: OtherType;
  [field: string]: unknown;
}

/** Return a value of a newer API, to be sent where the types know it not. */
export function asUnknown(value: { type: string; [field: string]: unknown }): Unknown {
  return value as unknown as Unknown;
}
