// What the scripts of this folder share. They get the server's address and key from the tests.
import assert from 'node:assert/strict';

export const MODEL = 'claude-opus-5-5';
export const HOW = {
  baseURL: process.env.ANTIPHON_URL,
  apiKey: process.env.ANTIPHON_KEY,
  maxRetries: 0,
};

export function asked(text) {
  return { model: MODEL, max_tokens: 16, messages: [{ role: 'user', content: text }] };
}

export const ASK = asked('What is the capital of France?');

export async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  return assert.fail('it did not fail');
}
