// Puts a .br and a .gz beside each built file that they make smaller: the server compresses nothing.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const folder = process.env.ANTIPHON_CONSOLE_OUT ?? "dist";
const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } };

for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile()) continue;
  const path = join(entry.parentPath, entry.name);
  const whole = readFileSync(path);
  for (const [suffix, packed] of [
    [".br", brotliCompressSync(whole, quality)],
    [".gz", gzipSync(whole, { level: 9 })],
  ]) {
    if (packed.length < whole.length) writeFileSync(path + suffix, packed);
  }
}
