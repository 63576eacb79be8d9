// Programs with the calls that the documentation of the official SDK shows.
//
// Each gets what it imports (`Anthropic`, and helpers of tools), and prints. The client finds its
// server by `settings`, where a program of somebody's own has the environment.

const model = "claude-opus-5-5";
const hello = [{ role: "user", content: "Good evening, lighthouse" }];
const weather = {
  name: "weather",
  description: "The weather of a city",
  input_schema: { type: "object", properties: { city: { type: "string" } } },
};

export async function firstMessage({ Anthropic, settings, print }) {
  const client = new Anthropic(settings);
  const message = await client.messages.create({ max_tokens: 1024, messages: hello, model });
  print(message.content[0].text, message.role, message.stop_reason, message.usage.output_tokens);
}

export async function conversation({ Anthropic, settings, print }) {
  const client = new Anthropic(settings);
  const messages = [...hello];
  const answer = await client.messages.create({ model, max_tokens: 64, messages });
  messages.push({ role: answer.role, content: answer.content });
  messages.push({ role: "user", content: "Good night" });
  const again = await client.messages.create({ model, max_tokens: 64, messages });
  print(again.content[0].text, again.usage.input_tokens > answer.usage.input_tokens);
}

export async function systemAndStopSequences({ Anthropic, settings, print }) {
  const message = await new Anthropic(settings).messages.create({
    model,
    max_tokens: 64,
    system: "You keep a lighthouse.",
    stop_sequences: ["four"],
    metadata: { user_id: "5f0c9a" },
    messages: hello,
  });
  print(message.stop_reason, message.stop_sequence, message.content[0].text);
}

export async function countedTokens({ Anthropic, settings, print }) {
  const { input_tokens } = await new Anthropic(settings).messages.countTokens({
    model,
    system: "You keep a lighthouse.",
    messages: hello,
  });
  print(input_tokens);
}

export async function rawEvents({ Anthropic, settings, print }) {
  const stream = await new Anthropic(settings).messages.create({
    max_tokens: 1024,
    messages: hello,
    model,
    stream: true,
  });
  for await (const event of stream) {
    print(event.type);
  }
}

export async function deltasOfText({ Anthropic, settings, print }) {
  const stream = await new Anthropic(settings).messages.create({
    max_tokens: 1024,
    messages: hello,
    model,
    stream: true,
  });
  for await (const event of stream) {
    if (event.type === "content_block_delta" && event.delta.type === "text_delta") {
      print(event.delta.text);
    }
  }
}

export async function textByAListener({ Anthropic, settings, print }) {
  const stream = new Anthropic(settings).messages
    .stream({ model, max_tokens: 1024, messages: hello })
    .on("text", (text) => {
      print(text);
    });
  const message = await stream.finalMessage();
  print(message.content[0].text);
}

export async function finalText({ Anthropic, settings, print }) {
  const stream = new Anthropic(settings).messages.stream({
    model,
    max_tokens: 64,
    messages: hello,
  });
  print(await stream.finalText());
}

export async function streamThatIsLeftEarly({ Anthropic, settings, print }) {
  const stream = new Anthropic(settings).messages.stream({
    model,
    max_tokens: 64,
    messages: hello,
  });
  for await (const event of stream) {
    print(event.type);
    break;
  }
}

export async function abortedStream({ Anthropic, settings, print }) {
  const stream = new Anthropic(settings).messages.stream({
    model,
    max_tokens: 64,
    messages: [{ role: "user", content: "be slow" }],
  });
  try {
    for await (const event of stream) {
      print(event.type);
      stream.abort();
    }
  } catch (error) {
    print(error instanceof Anthropic.APIUserAbortError);
  }
}

export async function oneTool({ Anthropic, settings, print }) {
  const message = await new Anthropic(settings).messages.create({
    model,
    max_tokens: 1024,
    tools: [weather],
    messages: [{ role: "user", content: "Please use the weather" }],
  });
  const call = message.content.find((block) => block.type === "tool_use");
  print(message.stop_reason, call.name, JSON.stringify(call.input));
}

export async function resultOfATool({ Anthropic, settings, print }) {
  const client = new Anthropic(settings);
  const messages = [{ role: "user", content: "Please use the weather" }];
  const message = await client.messages.create({
    model,
    max_tokens: 1024,
    tools: [weather],
    messages,
  });
  const call = message.content.find((block) => block.type === "tool_use");
  const result = { type: "tool_result", tool_use_id: call.id, content: "It rains" };
  messages.push({ role: message.role, content: message.content });
  messages.push({ role: "user", content: [result] });
  const answer = await client.messages.create({
    model,
    max_tokens: 1024,
    tools: [weather],
    messages,
  });
  print(answer.stop_reason, answer.content[0].text);
}

export async function runnerOfTools({ Anthropic, betaZodTool, z, settings, print }) {
  const tool = betaZodTool({
    name: "weather",
    description: "The weather of a city",
    inputSchema: z.object({ city: z.string() }),
    run: ({ city }) => `It rains in ${city}`,
  });
  const final = await new Anthropic(settings).beta.messages.toolRunner({
    model,
    max_tokens: 1024,
    messages: [{ role: "user", content: "Please use the weather" }],
    tools: [tool],
  });
  print(final.stop_reason, final.content[0].text);
}

export async function runnerMessageByMessage({ Anthropic, betaZodTool, z, settings, print }) {
  const tool = betaZodTool({
    name: "weather",
    description: "The weather of a city",
    inputSchema: z.object({ city: z.string() }),
    run: async ({ city }) => `It rains in ${city}`,
  });
  const runner = new Anthropic(settings).beta.messages.toolRunner({
    model,
    max_tokens: 1024,
    messages: [{ role: "user", content: "Please use the weather" }],
    tools: [tool],
    max_iterations: 5,
  });
  for await (const message of runner) {
    print(message.stop_reason, message.content.length);
  }
}

export async function schemaInTheRequest({ Anthropic, settings, print }) {
  const message = await new Anthropic(settings).messages.create({
    model,
    max_tokens: 1024,
    messages: hello,
    output_config: {
      format: {
        type: "json_schema",
        schema: {
          type: "object",
          properties: { kind: { type: "string", enum: ["barque"] } },
          required: ["kind"],
          additionalProperties: false,
        },
      },
    },
  });
  print(JSON.parse(message.content[0].text).kind);
}

export async function zodFormat({ Anthropic, zodOutputFormat, z, settings, print }) {
  const message = await new Anthropic(settings).messages.parse({
    model,
    max_tokens: 1024,
    messages: hello,
    output_config: { format: zodOutputFormat(z.object({ kind: z.enum(["barque"]) })) },
  });
  print(message.parsed_output.kind);
}

export async function batch({ Anthropic, settings, print }) {
  const client = new Anthropic(settings);
  const created = await client.messages.batches.create({
    requests: ["one", "two"].map((custom_id) => ({
      custom_id,
      params: { model, max_tokens: 64, messages: hello },
    })),
  });
  let found = created;
  while (found.processing_status !== "ended") {
    await new Promise((resolve) => setTimeout(resolve, 10));
    found = await client.messages.batches.retrieve(created.id);
  }
  print(found.request_counts.succeeded);
  const texts = [];
  for await (const { custom_id, result } of await client.messages.batches.results(created.id)) {
    texts.push(`${custom_id} ${result.type === "succeeded" && result.message.content[0].text}`);
  }
  print(...texts.sort());
  print((await client.messages.batches.delete(created.id)).type);
}

export async function listsPageByPage({ Anthropic, settings, print }) {
  const client = new Anthropic(settings);
  const made = [];
  for (const custom_id of ["one", "two"]) {
    const { id } = await client.messages.batches.create({
      requests: [{ custom_id, params: { model, max_tokens: 64, messages: hello } }],
    });
    made.push(id);
  }
  const listed = [];
  for await (const one of client.messages.batches.list({ limit: 1 })) {
    listed.push(one.id);
  }
  print(made.every((id) => listed.includes(id)));
  let page = await client.messages.batches.list({ limit: 1 });
  print(page.data.length, page.hasNextPage());
  page = await page.getNextPage();
  print(page.data.length);
}

export async function models({ Anthropic, settings, print }) {
  const client = new Anthropic(settings);
  for await (const one of client.models.list({ limit: 20 })) {
    print(one.id, one.type);
  }
  print((await client.models.retrieve(model)).type);
}

export async function errorsByClass({ Anthropic, settings, print }) {
  const client = new Anthropic({ ...settings, maxRetries: 0 });
  await client.messages
    .create({ model, max_tokens: 64, messages: [{ role: "user", content: "be overloaded" }] })
    .catch((error) => {
      if (error instanceof Anthropic.APIError) {
        print(error.status, error.name, error.headers.get("content-type"));
        print(error.requestID === error.headers.get("request-id"));
      } else {
        throw error;
      }
    });
  try {
    await client.messages.create({ model: "gpt-1", max_tokens: 64, messages: hello });
  } catch (error) {
    print(error instanceof Anthropic.NotFoundError, error instanceof Anthropic.RateLimitError);
  }
}

export async function errorsThatAreImported({ Anthropic, sdk, settings, print }) {
  const client = new Anthropic({ ...settings, apiKey: "my-old-key" });
  try {
    await client.messages.create({ model, max_tokens: 64, messages: hello });
  } catch (error) {
    print(error instanceof sdk.AuthenticationError, error.status, error.type);
  }
}

export async function timeoutOfACall({ Anthropic, settings, print }) {
  const client = new Anthropic(settings);
  try {
    await client.messages.create(
      { model, max_tokens: 64, messages: [{ role: "user", content: "be slow" }] },
      { timeout: 100, maxRetries: 0 },
    );
  } catch (error) {
    print(error instanceof Anthropic.APIConnectionTimeoutError);
  }
}

export async function abortedCall({ Anthropic, settings, print }) {
  const controller = new AbortController();
  const asked = new Anthropic(settings).messages.create(
    { model, max_tokens: 64, messages: [{ role: "user", content: "be slow" }] },
    { signal: controller.signal },
  );
  setTimeout(() => controller.abort(), 20);
  try {
    await asked;
  } catch (error) {
    print(error instanceof Anthropic.APIUserAbortError);
  }
}

export async function requestIds({ Anthropic, settings, print }) {
  const client = new Anthropic(settings);
  const message = await client.messages.create({ model, max_tokens: 64, messages: hello });
  print(message._request_id.startsWith("req_"));
  const { data, response, request_id } = await client.messages
    .create({ model, max_tokens: 64, messages: hello })
    .withResponse();
  print(data.content[0].text, response.status, request_id === response.headers.get("request-id"));
  const raw = await client.messages.create({ model, max_tokens: 64, messages: hello }).asResponse();
  print(raw.headers.get("content-type"), (await raw.json()).role);
}

export async function headersAndOptions({ Anthropic, settings, print }) {
  const client = new Anthropic({ ...settings, defaultHeaders: { "x-harbour": "north" } });
  const message = await client
    .withOptions({ maxRetries: 5 })
    .messages.create(
      { model, max_tokens: 64, messages: hello },
      { headers: { "x-harbour": "south" }, maxRetries: 1 },
    );
  print(message.content[0].text);
}

export async function fetchOfOnesOwn({ Anthropic, settings, print }) {
  const client = new Anthropic({
    ...settings,
    fetch: async (url, init) => {
      print(new URL(url).pathname);
      return fetch(url, init);
    },
  });
  const message = await client.messages.create({ model, max_tokens: 64, messages: hello });
  print(message.content[0].text);
}

export async function cachedSystemPrompt({ Anthropic, settings, print }) {
  const { usage } = await new Anthropic(settings).messages.create({
    model,
    max_tokens: 64,
    system: [
      {
        type: "text",
        text: "A page of the log. ".repeat(1500),
        cache_control: { type: "ephemeral" },
      },
    ],
    messages: hello,
  });
  print(usage.cache_creation_input_tokens + usage.cache_read_input_tokens > 1500);
}

export async function betaMessage({ Anthropic, settings, print }) {
  const message = await new Anthropic(settings).beta.messages.create({
    model,
    max_tokens: 64,
    messages: hello,
    betas: ["context-management-2025-06-27"],
  });
  print(message.content[0].text);
}

export async function uploadedFile({ Anthropic, sdk, settings, print }) {
  const client = new Anthropic(settings);
  const file = await client.beta.files.upload({
    file: await sdk.toFile(Buffer.from("The harbour closes at ten."), "rules.txt", {
      type: "text/plain",
    }),
  });
  print(file.filename, file.mime_type, file.size_bytes);
  print((await client.beta.files.delete(file.id)).type);
}
