import assert from 'node:assert/strict';
import test from 'node:test';
import * as sdk from 'sdk-old';
import { testsOf } from './both.mjs';
import { ASK, HOW } from './support.mjs';

testsOf(sdk);

test('the key goes as x-api-key with the old version, and betas with a query', async () => {
  const sent = [];
  const client = new sdk.default({
    ...HOW,
    fetch: (url, init) => {
      sent.push({ url: String(url), headers: new Headers(init.headers) });
      return fetch(url, init);
    },
  });
  await client.messages.create(ASK);
  await client.beta.messages.create({ ...ASK, betas: ['nobody-knows-2030-01-01'] });
  await client.beta.messages.countTokens({ model: ASK.model, messages: ASK.messages });
  for (const { headers } of sent) {
    assert.equal(headers.get('x-api-key'), HOW.apiKey);
    assert.equal(headers.get('authorization'), null);
    assert.equal(headers.get('anthropic-version'), '2023-06-01');
  }
  assert.match(sent[1].url, /\?beta=true$/);
  assert.match(sent[2].url, /\?beta=true$/);
});

test('sampling parameters are taken', async () => {
  const client = new sdk.default(HOW);
  const message = await client.messages.create({ ...ASK, temperature: 0, top_k: 5, top_p: 0.9 });
  assert.ok(message.content);
});
