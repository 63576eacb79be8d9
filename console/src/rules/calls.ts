// A call of the API as a command, so that a script can get the numbers of a page.

import { withQuery } from "../../../sdk/typescript/src/query.ts";
import { type Query, VERSION } from "../api/client.ts";

/** Return the address of a call on this server. */
export function urlOf(base: string, path: string, query: Query): string {
  return `${base}${withQuery(path, query)}`;
}

/** Return a call as a command of a shell. The key stays in a variable. */
export function curlOf(base: string, path: string, query: Query): string {
  return [
    `curl '${urlOf(base, path, query)}' \\`,
    '  -H "x-api-key: $ANTIPHON_ADMIN_KEY" \\',
    `  -H "anthropic-version: ${VERSION}"`,
  ].join("\n");
}
