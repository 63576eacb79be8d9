// What only the scripted server can be asked for: failures, and an answer that never comes.
import assert from 'node:assert/strict';
import test from 'node:test';
import * as current from '@anthropic-ai/sdk';
import * as old from 'sdk-old';
import { ASK, HOW, asked, failure } from './support.mjs';

for (const [line, sdk] of Object.entries({ current, old })) {
  const client = new sdk.default(HOW);

  test(`an overloaded engine is an error of the server (${line})`, async () => {
    for (const stream of [false, true]) {
      const error = await failure(client.messages.create({ ...asked('be overloaded'), stream }));
      assert.ok(error instanceof sdk.InternalServerError);
      assert.equal(error.status, 529);
      assert.equal(error.error.error.type, 'overloaded_error');
    }
  });

  test(`a failure in mid-stream is raised after what came before it (${line})`, async () => {
    const heard = [];
    const stream = client.messages.stream(asked('break off'));
    stream.on('text', (delta) => heard.push(delta));
    const error = await failure(stream.finalMessage());
    assert.ok(error instanceof sdk.APIError);
    assert.match(error.message, /Internal server error/);
    assert.deepEqual(heard, ['I', ' am', ' the']);
  });

  test(`a caller's timeout leaves the server well (${line})`, async () => {
    const error = await failure(client.messages.create(asked('be slow'), { timeout: 200 }));
    assert.ok(error instanceof sdk.APIConnectionTimeoutError);
    assert.ok((await client.messages.create(ASK)).content);
  });

  test(`an overloaded engine is asked again (${line})`, async () => {
    let tries = 0;
    const counting = new sdk.default({
      ...HOW,
      maxRetries: 1,
      fetch: (url, init) => {
        tries += 1;
        return fetch(url, init);
      },
    });
    await failure(counting.messages.create(asked('be overloaded')));
    assert.equal(tries, 2);
    await failure(counting.messages.create({ ...ASK, max_tokens: -1 }));
    assert.equal(tries, 3);
  });
}
