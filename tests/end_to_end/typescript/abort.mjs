// Aborts one stream in each way there is, and prints the ids of the requests.
import current from '@anthropic-ai/sdk';
import old from 'sdk-old';
import { HOW, asked } from './support.mjs';

const STORY = { ...asked('Tell a long story.'), max_tokens: 4000 };

async function firstText(stream) {
  for await (const event of stream) if (event.type === 'content_block_delta') return;
}

for (const Client of [current, old]) {
  const client = new Client(HOW);

  const helper = client.messages.stream(STORY);
  const aborted = new Promise((resolve) => helper.on('abort', resolve));
  helper.once('text', () => helper.abort());
  const { response } = await helper.withResponse();
  await aborted;
  console.log(response.headers.get('request-id'));

  const controller = new AbortController();
  const signalled = await client.messages
    .create({ ...STORY, stream: true }, { signal: controller.signal })
    .withResponse();
  for await (const event of signalled.data) {
    if (event.type === 'content_block_delta') controller.abort();
  }
  console.log(signalled.request_id);

  const left = await client.messages.create({ ...STORY, stream: true }).withResponse();
  await firstText(left.data);
  console.log(left.request_id);
}
