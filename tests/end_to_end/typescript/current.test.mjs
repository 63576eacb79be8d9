import assert from 'node:assert/strict';
import test from 'node:test';
import * as sdk from '@anthropic-ai/sdk';
import { testsOf } from './both.mjs';
import { ASK, HOW, failure } from './support.mjs';

testsOf(sdk);

test('the key goes as a bearer token with the newest version', async () => {
  let sent;
  const client = new sdk.default({
    ...HOW,
    fetch: (url, init) => {
      sent = new Headers(init.headers);
      return fetch(url, init);
    },
  });
  await client.messages.create(ASK);
  assert.equal(sent.get('authorization'), `Bearer ${HOW.apiKey}`);
  assert.equal(sent.get('x-api-key'), null);
  assert.equal(sent.get('anthropic-version'), '2026-10-21');
});

test('sampling parameters are refused under the newest version', async () => {
  const client = new sdk.default(HOW);
  const error = await failure(client.messages.create({ ...ASK, temperature: 0 }));
  assert.match(error.message, /temperature: Extra inputs are not permitted/);
});

test('beta methods are answered as well', async () => {
  const client = new sdk.default(HOW);
  const betas = ['interleaved-thinking-2025-05-14', 'nobody-knows-2030-01-01'];
  const message = await client.beta.messages.create({ ...ASK, betas });
  assert.ok(message.content[0].text);
});

test('cache diagnostics name the change of a prompt', async () => {
  const client = new sdk.default(HOW);
  const ask = { ...ASK, cache_control: { type: 'ephemeral' } };
  const first = await client.messages.create({ ...ask, diagnostics: { previous_message_id: null } });
  assert.equal(first.diagnostics, null);
  const diagnostics = { previous_message_id: first.id };
  assert.equal((await client.messages.create({ ...ask, diagnostics })).diagnostics, null);
  const stream = client.messages.stream({ ...ask, system: 'Be brief.', diagnostics });
  const { cache_miss_reason: reason } = (await stream.finalMessage()).diagnostics;
  assert.equal(reason.type, 'system_changed');
  assert.ok(reason.cache_missed_input_tokens > 0);
});
