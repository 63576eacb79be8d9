// Prints what the rules that the SDKs share say of the cases in a file: `node rules.ts FILE`.

import { readFileSync } from "node:fs";
import { withBreakpoints } from "../../src/cache.ts";
import { costOf } from "../../src/cost.ts";

const { costs, prompts } = JSON.parse(readFileSync(process.argv[2] as string, "utf-8"));
console.log(
  JSON.stringify({
    costs: costs.map((message: Parameters<typeof costOf>[0]) => costOf(message)),
    prompts: prompts.map((params: object) => withBreakpoints(params, "1h")),
  }),
);
