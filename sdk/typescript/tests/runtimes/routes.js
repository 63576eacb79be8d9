// Calls every method of a client with names in the places of ids, and prints the routes.

import * as sdk from "antiphon";

const routes = new Set();
const client = new sdk.Antiphon({
  apiKey: "key",
  maxRetries: 0,
  fetch: async (url, { method }) => {
    routes.add(`${method} ${new URL(url).pathname}`);
    return Response.json({ data: [], has_more: false, processing_status: "ended" });
  },
});

/** Call the methods of an object and of what it has; how many ids one takes is tried. */
async function walk(object) {
  for (const name of Object.getOwnPropertyNames(Object.getPrototypeOf(object))) {
    if (name === "constructor" || typeof object[name] !== "function") continue;
    for (const ids of [[], ["ID"], ["ID", "ID"]]) {
      try {
        await follow(object[name](...ids, {}));
      } catch {
        // It takes more ids, or other ones.
      }
    }
  }
  for (const part of Object.values(object)) if (isResource(part)) await walk(part);
}

async function follow(result) {
  if (isResource(result)) await walk(result);
  else if (result?.[Symbol.asyncIterator] && !result.then) for await (const _ of result) break;
  else await result;
}

function isResource(value) {
  if (typeof value?.constructor !== "function") return false;
  const results = [sdk.Call, sdk.MessageStream, sdk.ToolRunner];
  const isResult = results.some((kind) => value instanceof kind);
  return String(value.constructor).startsWith("class ") && !isResult;
}

for (const name of ["messages", "models", "files", "organization"]) await walk(client[name]);
console.log(JSON.stringify([...routes]));
