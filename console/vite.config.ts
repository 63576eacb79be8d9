import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** The version of Antiphon, whose one place is the Python package. */
function version(): string {
  const source = readFileSync(new URL("../src/antiphon/__init__.py", import.meta.url), "utf-8");
  const found = /__version__ = "([^"]+)"/.exec(source);
  if (!found?.[1]) throw new Error("src/antiphon/__init__.py has no __version__");
  return found[1];
}

export default defineConfig({
  base: "/console/",
  plugins: [react()],
  // The SDK of this checkout, as sources: its types and its streams are the Console's.
  resolve: {
    alias: { antiphon: fileURLToPath(new URL("../sdk/typescript/src/index.ts", import.meta.url)) },
  },
  define: { __ANTIPHON_VERSION__: JSON.stringify(version()) },
  build: {
    outDir: process.env.ANTIPHON_CONSOLE_OUT ?? "dist",
    emptyOutDir: true,
    target: "es2022",
    // The policy of the page allows no data: URL but images, and one file is as good as a few bytes.
    assetsInlineLimit: 0,
    // Browsers that need the polyfill are older than the target.
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    port: 5173,
    strictPort: true,
    // `npm run dev` beside a server on its default port.
    proxy: { "/v1": process.env.ANTIPHON_URL ?? "http://127.0.0.1:8000" },
  },
});
