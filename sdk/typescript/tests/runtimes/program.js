// For Node.js, Deno and Bun: the address and the key come from the environment.

import * as sdk from "antiphon";
import { check } from "./check.js";

console.log(JSON.stringify(await check(sdk, {})));
