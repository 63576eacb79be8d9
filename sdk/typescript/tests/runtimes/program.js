// For Node.js, Deno and Bun: the address and the key come from the environment. Its map stands in
// the file that is named.

import * as sdk from "antiphon";
import { map } from "antiphon/batches";
import { Limiter } from "antiphon/limiter";
import { FileStore } from "antiphon/node";
import { check } from "./check.js";

console.log(JSON.stringify(await check(sdk, { map, Limiter }, {}, new FileStore(process.argv[2]))));
