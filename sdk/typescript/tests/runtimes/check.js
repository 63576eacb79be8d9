// What every runtime must be able to do, on plain JavaScript of the built package.

/**
 * Ask a server in all the ways that need something of the runtime; return what came of it. A map
 * keeps its run in a store, if there is one.
 */
export async function check(sdk, { map, Limiter }, settings, store) {
  const limiter = new Limiter();
  const client = new sdk.Antiphon({ ...settings, limiter, maxRetries: 0 });
  const ask = {
    model: "claude-opus-5-5",
    max_tokens: 64,
    messages: [{ role: "user", content: "Hi" }],
  };
  const { data, requestId } = await client.messages.create(ask).withResponse();
  const stream = client.messages.stream(ask);
  let streamed = "";
  for await (const text of stream.textStream) streamed += text;
  const ended = client.messages.stream({ ...ask, max_tokens: 4000 });
  for await (const _ of ended) break;
  const late = await failure(
    client.messages.create(
      { ...ask, messages: [{ role: "user", content: "be slow" }] },
      { timeout: 300 },
    ),
  );
  const unknown = await failure(client.messages.create({ ...ask, model: "nobody" }));
  const file = await client.files.upload({ file: new Blob(["Grass."]), filename: "grass.txt" });
  const { id } = await client.messages.batches.create({
    requests: [{ custom_id: "a", params: ask }],
  });
  await client.messages.batches.wait(id, { pollInterval: 100 });
  const results = [];
  for await (const { result } of client.messages.batches.results(id)) results.push(result.type);
  const asked = (content) => ({ ...ask, messages: [{ role: "user", content }] });
  const mapped = [];
  for await (const { row, ok } of map(client, asked, ["a", "b"], { store, firstPause: 100 })) {
    mapped.push([row, ok]);
  }
  return {
    mapped,
    isSame: streamed === data.content[0].text,
    hasRequestId: requestId?.startsWith("req_") && unknown.requestId?.startsWith("req_"),
    errors: [late instanceof sdk.APIConnectionTimeoutError, unknown instanceof sdk.NotFoundError],
    file: file.size_bytes,
    results,
  };
}

async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("it did not fail");
}
