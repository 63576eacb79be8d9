// A server that answers each request with the same bytes: all of the time is the client's.

import { createServer } from "node:http";

const EVENTS = Number(process.argv[2]);
const MESSAGE = {
  id: "msg_1",
  type: "message",
  role: "assistant",
  model: "m",
  content: [{ type: "text", text: "Paris.", citations: [] }],
  stop_reason: "end_turn",
  stop_sequence: null,
  stop_details: null,
  usage: { input_tokens: 12, output_tokens: 2, cache_creation_input_tokens: 0 },
};
const WHOLE = Buffer.from(JSON.stringify(MESSAGE));
const DELTA = frame({
  type: "content_block_delta",
  index: 0,
  delta: { type: "text_delta", text: " token" },
});
const START = [
  { type: "message_start", message: { ...MESSAGE, content: [], stop_reason: null } },
  {
    type: "content_block_start",
    index: 0,
    content_block: { type: "text", text: "", citations: [] },
  },
]
  .map(frame)
  .join("");
const END = [
  { type: "content_block_stop", index: 0 },
  {
    type: "message_delta",
    delta: { stop_reason: "end_turn", stop_sequence: null },
    usage: { output_tokens: 9 },
  },
  { type: "message_stop" },
]
  .map(frame)
  .join("");
// In pieces of about four events, as a busy server sends them.
const PIECE = Buffer.from(DELTA.repeat(4));

function frame(event) {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

function stream(response) {
  response.writeHead(200, { "content-type": "text/event-stream", "request-id": "req_1" });
  response.write(START);
  let left = EVENTS / 4;
  const more = () => {
    while (left-- > 0) if (!response.write(PIECE)) return response.once("drain", more);
    return response.end(END);
  };
  more();
}

const server = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    if (Buffer.concat(parts).includes('"stream":true')) return stream(response);
    const headers = { "content-type": "application/json", "content-length": WHOLE.length };
    response.writeHead(200, { ...headers, "request-id": "req_1" }).end(WHOLE);
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", 4096, () => console.log(server.address().port));
