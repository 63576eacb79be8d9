// What a program does with either line of the SDK.
import assert from 'node:assert/strict';
import test from 'node:test';
import { ASK, HOW, MODEL, asked, failure } from './support.mjs';

export function testsOf(sdk) {
  const client = new sdk.default(HOW);

  test('a message comes back', async () => {
    const message = await client.messages.create(ASK);
    assert.equal(message.model, MODEL);
    assert.equal(message.role, 'assistant');
    assert.ok(message.content[0].text);
    assert.ok(['end_turn', 'max_tokens'].includes(message.stop_reason));
    assert.ok(message.usage.input_tokens > 0);
    assert.ok(message.usage.output_tokens > 0 && message.usage.output_tokens <= 16);
    assert.match(message._request_id, /^req_/);
  });

  test('a stream and its final message agree', async () => {
    const stream = client.messages.stream(ASK);
    const heard = { text: '', snapshot: '', kinds: [], blocks: 0, ended: false };
    stream.on('text', (delta, snapshot) => {
      heard.text += delta;
      heard.snapshot = snapshot;
    });
    stream.on('streamEvent', (event) => heard.kinds.push(event.type));
    stream.on('contentBlock', () => (heard.blocks += 1));
    stream.on('end', () => (heard.ended = true));
    const message = await stream.finalMessage();
    await stream.done();
    assert.equal(message.content[0].text, heard.text);
    assert.equal(heard.snapshot, heard.text);
    assert.equal(await stream.finalText(), heard.text);
    assert.equal(heard.blocks, 1);
    assert.equal(heard.kinds[0], 'message_start');
    assert.deepEqual(heard.kinds.slice(-3), [
      'content_block_stop',
      'message_delta',
      'message_stop',
    ]);
    assert.ok(message.usage.output_tokens > 0);
    assert.ok(heard.ended);
  });

  test('a stream can be walked through', async () => {
    let text = '';
    const stream = client.messages.stream(ASK);
    for await (const event of stream) {
      if (event.type === 'content_block_delta') text += event.delta.text;
    }
    assert.equal(await stream.finalText(), text);
  });

  test('raw events come in order', async () => {
    const kinds = [];
    const stream = await client.messages.create({ ...ASK, stream: true });
    for await (const event of stream) kinds.push(event.type);
    assert.equal(kinds[0], 'message_start');
    assert.deepEqual(kinds.slice(-2), ['message_delta', 'message_stop']);
  });

  test('the count of tokens is the bill', async () => {
    const { model, messages } = ASK;
    const counted = await client.messages.countTokens({ model, messages, system: 'Be brief.' });
    const message = await client.messages.create({ ...ASK, system: 'Be brief.' });
    assert.equal(counted.input_tokens, message.usage.input_tokens);
  });

  test('models are listed and found', async () => {
    const listed = [];
    for await (const model of client.models.list({ limit: 1 })) listed.push(model);
    assert.equal(listed.length, 1);
    const found = await client.models.retrieve(MODEL);
    assert.equal(found.id, listed[0].id);
    assert.equal(found.type, 'model');
  });

  test('a file is uploaded, named in a request and deleted', async () => {
    const { files } = client.beta;
    const content = await sdk.toFile(Buffer.from('The grass is green.'), 'grass.txt', {
      type: 'text/plain',
    });
    const file = await files.upload({ file: content });
    assert.equal(file.filename, 'grass.txt');
    assert.equal(file.size_bytes, 19);
    assert.deepEqual(await files.retrieveMetadata(file.id), file);
    const listed = [];
    for await (const one of files.list({ limit: 1 })) listed.push(one.id);
    assert.ok(listed.includes(file.id));
    const document = { type: 'document', source: { type: 'file', file_id: file.id } };
    const content_of = [document, { type: 'text', text: 'What is it?' }];
    const message = await client.messages.create({
      ...ASK,
      messages: [{ role: 'user', content: content_of }],
    });
    assert.ok(message.usage.input_tokens > 4);
    assert.equal((await files.delete(file.id)).type, 'file_deleted');
    await assert.rejects(files.retrieveMetadata(file.id), sdk.NotFoundError);
  });

  test('the answer itself can be had', async () => {
    const { data, response, request_id } = await client.messages.create(ASK).withResponse();
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('request-id'), request_id);
    assert.equal(data._request_id, request_id);
  });

  for (const [changes, status, kind] of [
    [{ model: 'gpt-1' }, 404, sdk.NotFoundError],
    [{ max_tokens: -1 }, 400, sdk.BadRequestError],
    [{ messages: [] }, 400, sdk.BadRequestError],
    [{ zzz: 1 }, 400, sdk.BadRequestError],
  ]) {
    test(`${JSON.stringify(changes)} is a ${kind.name}`, async () => {
      for (const stream of [false, true]) {
        const error = await failure(client.messages.create({ ...ASK, ...changes, stream }));
        assert.ok(error instanceof kind, String(error));
        assert.equal(error.status, status);
        assert.match(error.requestID, /^req_/);
        assert.equal(error.error.request_id, error.requestID);
        assert.ok(error.error.error.message);
      }
    });
  }

  test('a model that is not there is not found', async () => {
    const error = await failure(client.models.retrieve('gpt-1'));
    assert.ok(error instanceof sdk.NotFoundError);
  });

  test('a wrong key is an authentication error', async () => {
    const stranger = new sdk.default({ ...HOW, apiKey: 'wrong' });
    const error = await failure(stranger.messages.create(ASK));
    assert.ok(error instanceof sdk.AuthenticationError);
    assert.equal(error.status, 401);
  });

  test('a stream that is aborted says so', async () => {
    // Long enough that there is always more to come when it is aborted.
    const stream = client.messages.stream({ ...asked('Please go on.'), max_tokens: 10000 });
    stream.on('text', () => stream.abort());
    const error = await failure(stream.finalMessage());
    assert.ok(error instanceof sdk.APIUserAbortError);
    assert.ok(stream.aborted);
  });
}
