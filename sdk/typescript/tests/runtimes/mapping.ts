// Maps rows by batches and says what it does, a line at a time: to be killed.
//
//     node mapping.ts URL KEY FILE ROWS PART_REQUESTS

import { map } from "../../src/batches.ts";
import { Antiphon } from "../../src/index.ts";
import { FileStore } from "../../src/node.ts";

const [baseURL, apiKey, file, rows, part] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
];
const client = new Antiphon({
  baseURL,
  apiKey,
  fetch: async (url, init) => {
    const told = `${init.method} ${new URL(url).pathname}`;
    console.log(`before ${told}`);
    const answer = await fetch(url, init);
    console.log(`after ${told}`);
    return answer;
  },
});
const asked = (row: number) => ({
  model: "claude-x",
  max_tokens: 20,
  messages: [{ role: "user" as const, content: `Row ${row}` }],
});
const options = {
  store: new FileStore(file),
  partRequests: Number(part),
  firstPause: 50,
  longestPause: 300,
};
for await (const { row, message } of map(client, asked, Array(Number(rows)).keys(), options)) {
  console.log(`row ${row} ${message.id}`);
}
console.log("done");
