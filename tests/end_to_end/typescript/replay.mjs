// Replays recorded streams to both lines of the SDK: `node replay.mjs FILE`.
//
// Each line of the file is {"pieces": [base64, …], "message": {…}}: the bytes of a stream, cut
// somewhere, and the message that must come of them.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import current from '@anthropic-ai/sdk';
import old from 'sdk-old';

const cases = readFileSync(process.argv[2], 'utf8').trim().split('\n').map((line) => JSON.parse(line));

const server = createServer((request, response) => {
  request.resume();
  const { pieces } = cases[Number(request.headers['x-case'])];
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  for (const piece of pieces) response.write(Buffer.from(piece, 'base64'));
  response.end();
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');

// Leaves out what the SDK adds for its own users, and what the old line does not keep up with.
function plain(message, line) {
  const { _request_id, parsed_output, ...rest } = JSON.parse(JSON.stringify(message));
  for (const block of rest.content) delete block.parsed_output;
  if (line === 'old') {
    delete rest.usage.output_tokens_details;
    delete rest.stop_details;
  }
  return rest;
}

let wrong = 0;
for (const [line, Client] of Object.entries({ current, old })) {
  const client = new Client({
    apiKey: 'none',
    baseURL: `http://127.0.0.1:${server.address().port}`,
    maxRetries: 0,
  });
  for (const [number, { message }] of cases.entries()) {
    try {
      const stream = client.messages.stream(
        { model: 'm', max_tokens: 1, messages: [{ role: 'user', content: 'Hi' }] },
        { headers: { 'x-case': String(number) } },
      );
      assert.deepEqual(plain(await stream.finalMessage(), line), plain(message, line));
    } catch (error) {
      wrong += 1;
      if (wrong <= 3) console.log(`case ${number}, ${line} line: ${error.message}`);
    }
  }
}
server.close();
server.closeAllConnections();
console.log(`${cases.length} streams, ${wrong} wrong`);
process.exitCode = wrong ? 1 : 0;
