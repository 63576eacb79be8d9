// Runs the programs with what they import, and returns what each prints.

import * as programs from "./programs.js";

/** Return what each program prints, or the error that it ends with. */
export async function run(imported) {
  const told = {};
  for (const [name, program] of Object.entries(programs)) {
    const lines = [];
    const print = (...words) => {
      lines.push(words.join(" "));
    };
    try {
      await program({ ...imported, print });
    } catch (error) {
      lines.push(`ended by ${error.constructor.name}`);
    }
    told[name] = lines;
  }
  return told;
}
