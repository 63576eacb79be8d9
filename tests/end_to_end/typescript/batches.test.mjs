// The batches of both lines of the SDK: made, followed, read, cancelled, deleted.
import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import * as current from '@anthropic-ai/sdk';
import * as old from 'sdk-old';
import { ASK, HOW, asked, failure } from './support.mjs';

async function ended(client, id) {
  for (let tries = 0; tries < 600; tries += 1) {
    const batch = await client.messages.batches.retrieve(id);
    if (batch.processing_status === 'ended') return batch;
    await sleep(50);
  }
  return assert.fail('the batch did not end');
}

for (const [line, sdk] of Object.entries({ current, old })) {
  const client = new sdk.default(HOW);
  const { batches } = client.messages;

  test(`results of a batch are streamed, each with its id (${line})`, async () => {
    const made = await batches.create({
      requests: [
        { custom_id: 'good', params: ASK },
        { custom_id: 'wrong', params: { ...ASK, max_tokens: 0 } },
      ],
    });
    assert.equal(made.type, 'message_batch');
    const batch = await ended(client, made.id);
    assert.deepEqual([batch.request_counts.succeeded, batch.request_counts.errored], [1, 1]);
    assert.ok(batch.results_url.startsWith(HOW.baseURL));
    const results = {};
    for await (const one of await batches.results(made.id)) results[one.custom_id] = one.result;
    assert.deepEqual(Object.keys(results).sort(), ['good', 'wrong']);
    assert.equal(results.good.type, 'succeeded');
    assert.ok(results.good.message.content[0].text);
    assert.equal(results.good.message.usage.service_tier, 'batch');
    assert.equal(results.wrong.error.error.type, 'invalid_request_error');
  });

  test(`batches are listed over several pages (${line})`, async () => {
    const made = [];
    for (let number = 0; number < 3; number += 1) {
      const requests = [{ custom_id: `r${number}`, params: ASK }];
      made.unshift((await batches.create({ requests })).id);
    }
    const listed = [];
    for await (const batch of batches.list({ limit: 2 })) listed.push(batch.id);
    assert.deepEqual(listed.slice(0, 3), made);
    assert.equal(new Set(listed).size, listed.length);
  });

  test(`a batch is cancelled, and deleted after its end (${line})`, async () => {
    const requests = [{ custom_id: 'slow', params: asked('be slow') }];
    const { id } = await batches.create({ requests });
    const early = await failure(batches.delete(id));
    assert.ok(early instanceof sdk.BadRequestError);
    await assert.rejects(batches.results(id), /No batch `results_url`/);
    assert.equal((await batches.cancel(id)).processing_status, 'canceling');
    await ended(client, id);
    for await (const one of await batches.results(id)) {
      assert.deepEqual(one, { custom_id: 'slow', result: { type: 'canceled' } });
    }
    assert.deepEqual(await batches.delete(id), { id, type: 'message_batch_deleted' });
    assert.ok((await failure(batches.retrieve(id))) instanceof sdk.NotFoundError);
  });
}
