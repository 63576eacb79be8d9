// Builds the package into `dist`, or into the folder that is named.

import { execFileSync } from "node:child_process";
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const target = resolve(process.argv[2] ?? join(root, "dist"));
const compiler = join(root, "node_modules/typescript/bin/tsc");

// npm packs the license of the package's own folder.
copyFileSync(join(root, "../../LICENSE"), join(root, "LICENSE"));
rmSync(target, { recursive: true, force: true });
execFileSync(process.execPath, [compiler, "-p", "tsconfig.build.json", "--outDir", target], {
  cwd: root,
  stdio: "inherit",
});
// The compiler turns the names of sources into those of the built files in code alone.
for (const name of readdirSync(target, { recursive: true, encoding: "utf-8" })) {
  if (!name.endsWith(".d.ts")) continue;
  const path = join(target, name);
  const text = readFileSync(path, "utf-8");
  writeFileSync(path, text.replaceAll(/((?:from|import\()\s*"\.[^"]*)\.ts"/g, '$1.js"'));
}
