// What a page loads of a client: `node size.mjs FILE`. Prints the bytes, minified, and in gzip.

import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";

const bundle = await rolldown({ input: process.argv[2], platform: "browser", logLevel: "silent" });
const { output } = await bundle.generate({ minify: true, codeSplitting: false });
const code = output[0].code;
console.log(JSON.stringify({ bytes: Buffer.byteLength(code), packed: gzipSync(code).length }));
