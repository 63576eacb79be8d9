// An answer with citations, as JSON and as a stream, by both lines of the SDK.
import assert from 'node:assert/strict';
import test from 'node:test';
import current from '@anthropic-ai/sdk';
import old from 'sdk-old';
import { HOW, MODEL } from './support.mjs';

const COLOURS = 'The grass is green. The sky is blue on every fine day.';
const ASK = {
  model: MODEL,
  max_tokens: 100,
  messages: [
    {
      role: 'user',
      content: [
        {
          type: 'document',
          source: { type: 'text', media_type: 'text/plain', data: COLOURS },
          title: 'Colours',
          citations: { enabled: true },
        },
        { type: 'text', text: 'Please cite the colours.' },
      ],
    },
  ],
};

for (const [line, Client] of Object.entries({ current, old })) {
  const client = new Client(HOW);

  test(`the ${line} line gets the same citations from a stream as from JSON`, async () => {
    const message = await client.messages.create(ASK);
    const cited = message.content.filter((block) => block.citations.length);
    assert.deepEqual(
      cited.map((block) => block.citations.map((one) => one.cited_text)),
      [['The grass is green.'], ['The sky is blue on every fine day.']],
    );
    for (const { citations } of cited) {
      for (const { start_char_index, end_char_index, cited_text } of citations) {
        assert.equal(COLOURS.slice(start_char_index, end_char_index), cited_text);
      }
    }

    const heard = [];
    const stream = client.messages.stream(ASK);
    stream.on('citation', (citation) => heard.push(citation));
    const { content } = await stream.finalMessage();
    const plain = (blocks) => blocks.map(({ text, citations }) => ({ text, citations }));
    assert.deepEqual(plain(content), plain(message.content));
    assert.deepEqual(heard, cited.flatMap((block) => block.citations));
  });
}
