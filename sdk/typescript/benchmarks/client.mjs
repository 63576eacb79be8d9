// One client before the constant server: `node client.mjs FILE URL WHAT COUNT`.
//
// FILE is the module of a client, or `fetch` for none. Prints figures as JSON; times are those of
// the processor, of this process alone.

const [file, baseURL, what, told] = process.argv.slice(2);
const count = Number(told);
const ASK = {
  model: "m",
  max_tokens: 1024,
  messages: [{ role: "user", content: "What is the capital of France?" }],
};

const before = process.memoryUsage().rss;
const began = process.cpuUsage();
const sdk = file === "fetch" ? undefined : await import(file);
const imported = micros(began);
const memory = process.memoryUsage().rss - before;

const client = sdk ? new sdk.default({ apiKey: "key", baseURL, maxRetries: 0 }) : undefined;

const create = client ? () => client.messages.create(ASK) : async () => (await post(ASK)).json();

/** Read a stream to its end; return how many events it had. */
async function read() {
  let events = 0;
  if (client) {
    const stream = client.messages.stream(ASK);
    for await (const _ of stream) events++;
    await stream.finalMessage();
    return events;
  }
  // The least that anybody can do: the bytes.
  for await (const _ of (await post({ ...ASK, stream: true })).body);
  return count;
}

function post(body) {
  return fetch(`${baseURL}/v1/messages`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-api-key": "key" },
    body: JSON.stringify(body),
  });
}

function micros(since) {
  const { user, system } = process.cpuUsage(since);
  return user + system;
}

async function calls() {
  for (let warm = 0; warm < Math.min(count, 500); warm++) await create();
  const start = process.cpuUsage();
  for (let call = 0; call < count; call++) await create();
  return { micros: micros(start) / count };
}

async function many() {
  await create();
  const start = process.cpuUsage();
  await Promise.all(Array.from({ length: count }, create));
  return { micros: micros(start) / count };
}

async function streams() {
  await read();
  const start = process.cpuUsage();
  const events = await read();
  return { micros: micros(start) / events };
}

const figures = { import: () => ({ micros: imported, memory }), calls, many, streams };
console.log(JSON.stringify(await figures[what]()));
process.exit();
