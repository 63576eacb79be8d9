// What a page loads of a client: `node size.mjs FILE [NAMES]`, of the names that it imports, or of the
// client alone. Prints the bytes, minified, and in gzip.

import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";

const [file, names = "default"] = process.argv.slice(2);
const ENTRY = "entry";
const entry = {
  name: ENTRY,
  resolveId: (id) => (id === ENTRY ? ENTRY : null),
  load: (id) => (id === ENTRY ? `export { ${names} } from ${JSON.stringify(file)};` : null),
};
const bundle = await rolldown({
  input: ENTRY,
  plugins: [entry],
  platform: "browser",
  logLevel: "silent",
});
const { output } = await bundle.generate({ minify: true, codeSplitting: false });
const code = output[0].code;
console.log(JSON.stringify({ bytes: Buffer.byteLength(code), packed: gzipSync(code).length }));
