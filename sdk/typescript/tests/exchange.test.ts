import { describe, expect, test } from "vitest";
import * as sdk from "../src/index.ts";
import { VERSION } from "../src/version.ts";
import { ASK, caught, failure, json, MESSAGE, served } from "./support.ts";

describe("a call", () => {
  test("says who asks, in which version and what", async () => {
    const { client, sent } = served([json(MESSAGE)]);
    const message = await client.messages.create({ ...ASK, temperature: 0.5 });
    expect(message).toEqual(MESSAGE);
    const [request] = sent;
    expect(request?.url.href).toBe("http://server/v1/messages");
    expect(request?.body).toEqual({ ...ASK, temperature: 0.5 });
    const headers = request?.headers;
    expect(headers?.get("x-api-key")).toBe("secret-key");
    expect(headers?.get("anthropic-version")).toBe("2023-06-01");
    expect(headers?.get("user-agent")).toBe(`antiphon/${VERSION} typescript`);
    expect(headers?.get("content-type")).toBe("application/json");
    expect(headers?.has("x-stainless-retry-count")).toBe(false);
  });

  test("gives its request id, which is no field of the result", async () => {
    const { client } = served([json(MESSAGE)]);
    const message = await client.messages.create(ASK);
    expect([sdk.requestIdOf(message), sdk.requestIdOf({})]).toEqual(["req_1", null]);
    expect(JSON.stringify(message)).not.toContain("req_1");
  });

  test("gives the answer beside its result", async () => {
    const { client } = served([failure(529, "overloaded_error"), json(MESSAGE)]);
    const { clock } = client as unknown as { clock: import("./support.ts").FakeClock };
    const call = client.messages.create(ASK).withResponse();
    const { data, response, requestId, retries } = await clock.until(call);
    expect(data.id).toBe("msg_1");
    expect(response.status).toBe(200);
    expect([requestId, retries]).toEqual(["req_1", 1]);
  });

  test("gives the answer unread", async () => {
    const { client } = served([json(MESSAGE)]);
    const response = await client.messages.create(ASK).asResponse();
    expect(await response.json()).toEqual(MESSAGE);
  });

  test("has options of its own", async () => {
    const { client, sent } = served([json(MESSAGE)], { defaultHeaders: { "X-Team": "a" } });
    await client.messages.create(ASK, {
      headers: { "x-team": "b", "X-Api-Key": null, authorization: "Bearer t" },
      query: { beta: "true" },
      extraBody: { new_field: 1 },
      idempotencyKey: "once",
    });
    const [request] = sent;
    expect(request?.url.search).toBe("?beta=true");
    expect(request?.body).toEqual({ ...ASK, new_field: 1 });
    expect(request?.headers.get("x-team")).toBe("b");
    expect(request?.headers.get("authorization")).toBe("Bearer t");
    expect(request?.headers.has("x-api-key")).toBe(false);
    expect(request?.headers.get("idempotency-key")).toBe("once");
  });

  test("without a key says which variable is missing, and sends nothing", async () => {
    const { client, sent } = served([], { apiKey: "" });
    const error = await caught(client.messages.create(ASK));
    expect(error).toBeInstanceOf(sdk.CredentialsError);
    expect(error.message).toContain("ANTIPHON_API_KEY");
    expect(sent).toEqual([]);
  });

  test("of a client with a cookie has no key", async () => {
    const { client, sent } = served([json(MESSAGE)], { apiKey: null });
    await client.messages.create(ASK);
    expect(sent[0]?.headers.has("x-api-key")).toBe(false);
  });

  test("that is sent elsewhere ends: the key does not go along", async () => {
    const headers = { location: "https://elsewhere/v1/messages" };
    const { client, sent } = served([new Response(null, { status: 307, headers })]);
    const error = await caught(client.messages.create(ASK));
    expect(error).toBeInstanceOf(sdk.APIConnectionError);
    expect(error.message).toContain("sends on to https://elsewhere");
    expect(sent).toHaveLength(1);
  });

  test("that is answered with other things than JSON says what came", async () => {
    const page = new Response("<html>Proxy</html>", { headers: { "request-id": "req_2" } });
    const { client, sent } = served([page]);
    const error = await caught(client.messages.create(ASK));
    expect(error).toBeInstanceOf(sdk.APIResponseValidationError);
    expect(error.message).toContain("<html>Proxy");
    expect((error as sdk.APIError).requestId).toBe("req_2");
    expect(sent).toHaveLength(1);
  });
});

describe("an answer that is read by its caller", () => {
  test("is ended by the signal, and by no time any more", async () => {
    const controller = new AbortController();
    const { client, clock, sent } = served([json(MESSAGE)], { timeout: 1000 });
    await client.messages.create(ASK, { signal: controller.signal }).asResponse();
    expect(clock.waiting).toBe(0);
    controller.abort();
    expect(sent[0]?.signal.aborted).toBe(true);
  });
});

describe("an error", () => {
  test.each([
    [400, "invalid_request_error", sdk.BadRequestError],
    [401, "authentication_error", sdk.AuthenticationError],
    [402, "billing_error", sdk.PaymentRequiredError],
    [403, "permission_error", sdk.PermissionDeniedError],
    [404, "not_found_error", sdk.NotFoundError],
    [413, "request_too_large", sdk.RequestTooLargeError],
    [418, "teapot_error", sdk.APIStatusError],
    [429, "rate_limit_error", sdk.RateLimitError],
    [500, "api_error", sdk.InternalServerError],
    [504, "timeout_error", sdk.GatewayTimeoutError],
    [529, "overloaded_error", sdk.OverloadedError],
  ])("of status %d is of its class", async (status, type, kind) => {
    const { client } = served([failure(status, type)], { maxRetries: 0 });
    const error = (await caught(client.messages.create(ASK))) as sdk.APIStatusError;
    expect(error).toBeInstanceOf(kind);
    expect([error.status, error.type, error.requestId]).toEqual([status, type, "req_1"]);
    expect(error.message).toBe(`${status} ${type}: No. (req_1)`);
    expect(error.name).toBe(kind.name);
  });

  test("has its code and details", async () => {
    const details = { error_code: "tool_name_conflict", tool: "x" };
    const body = {
      type: "error",
      error: { type: "invalid_request_error", message: "No", details },
    };
    const { client } = served([json(body, 400)]);
    const error = (await caught(client.messages.create(ASK))) as sdk.APIStatusError;
    expect([error.errorCode, error.details]).toEqual(["tool_name_conflict", details]);
    expect(error.body).toEqual(body);
  });

  test("of a proxy tells its words", async () => {
    const { client } = served([new Response("<b>Bad\n gateway</b>", { status: 400 })]);
    const error = (await caught(client.messages.create(ASK))) as sdk.APIStatusError;
    expect(error.message).toBe("400: <b>Bad gateway</b>");
    expect([error.type, error.requestId]).toEqual([null, null]);
  });
});

describe("a repetition", () => {
  test("comes for what may pass, and tells its number", async () => {
    for (const first of [
      failure(408, "x"),
      failure(409, "x"),
      failure(429, "x"),
      failure(500, "x"),
      failure(529, "x"),
      failure(400, "x", { "x-should-retry": "true" }),
      new TypeError("fetch failed", { cause: new Error("ECONNREFUSED") }),
    ]) {
      const { client, sent, clock } = served([first, json(MESSAGE)]);
      await clock.until(client.messages.create(ASK));
      expect(sent).toHaveLength(2);
      expect(sent[1]?.headers.get("x-stainless-retry-count")).toBe("1");
      expect(clock.waiting).toBe(0);
    }
  });

  test("does not come for what cannot pass", async () => {
    for (const first of [failure(400, "x"), failure(529, "x", { "x-should-retry": "false" })]) {
      const { client, sent, clock } = served([first, json(MESSAGE)]);
      await caught(clock.until(client.messages.create(ASK)));
      expect(sent).toHaveLength(1);
      expect(clock.waiting).toBe(0);
    }
  });

  test("comes for an answer that breaks off", async () => {
    const body = new ReadableStream({
      start: (controller) => controller.error(new TypeError("terminated")),
    });
    const { client, sent, clock } = served([new Response(body), json(MESSAGE)]);
    await clock.until(client.messages.create(ASK));
    expect(sent).toHaveLength(2);
  });

  test("waits as long as the server says", async () => {
    for (const [headers, ms] of [
      [{ "retry-after": "37" }, 37_000],
      [{ "retry-after": "1.5" }, 1500],
      [{ "retry-after-ms": "40", "retry-after": "3" }, 40],
      [{ "retry-after": "Mon, 30 Nov 2026 00:02:00 GMT" }, 120_000],
      [{ "retry-after": "soon" }, 500],
      [{ "retry-after": "0" }, 500],
      [{}, 500],
    ] as const) {
      const { client, clock } = served([failure(429, "x", headers), json(MESSAGE)]);
      await clock.until(client.messages.create(ASK));
      expect(clock.time).toBe(ms);
    }
  });

  test("waits longer each time, to 8 seconds, and a quarter of it is chance", async () => {
    const answers = () => [
      ...Array(7)
        .fill(0)
        .map(() => failure(500, "x")),
      json(MESSAGE),
    ];
    const { client, clock } = served(answers(), { maxRetries: 7 });
    await clock.until(client.messages.create(ASK));
    expect(clock.time).toBe(500 + 1000 + 2000 + 4000 + 8000 * 3);
    const other = served(answers(), { maxRetries: 7, random: () => 1 });
    await other.clock.until(other.client.messages.create(ASK));
    expect(other.clock.time).toBe(clock.time * 0.75);
  });

  test("ends with the error and the number of attempts", async () => {
    const { client, sent, clock } = served(
      Array(3)
        .fill(0)
        .map(() => failure(529, "overloaded_error")),
    );
    const error = (await caught(clock.until(client.messages.create(ASK)))) as sdk.APIStatusError;
    expect(error.message).toBe("529 overloaded_error: No. (req_1) after 3 attempts");
    expect([error.retries, sent.length]).toEqual([2, 3]);
  });

  test("is not waited for past the time of the call", async () => {
    const { client, sent, clock } = served([
      failure(429, "rate_limit_error", { "retry-after": "700" }),
    ]);
    const error = await caught(clock.until(client.messages.create(ASK)));
    expect(error).toBeInstanceOf(sdk.RateLimitError);
    expect(error.message).toContain("the wait of 700 s ends after the 600 s");
    expect([sent.length, clock.time]).toEqual([1, 0]);
  });

  test("tells the reason that fetch hides", async () => {
    const cause = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
    const failed = () => new TypeError("fetch failed", { cause });
    const { client, clock } = served([failed(), failed(), failed()]);
    const error = await caught(clock.until(client.messages.create(ASK)));
    expect(error).toBeInstanceOf(sdk.APIConnectionError);
    expect(error.message).toBe("POST /v1/messages: connect ECONNREFUSED after 3 attempts");
  });
});

describe("an end", () => {
  const never = (sent: { signal: AbortSignal }): Promise<Response> =>
    new Promise((_, reject) => {
      sent.signal.addEventListener("abort", () => reject(sent.signal.reason));
    });

  test("comes with the time of the call, which holds for all attempts", async () => {
    const { client, sent, clock } = served([failure(500, "x"), never], { timeout: 3000 });
    const error = await caught(clock.until(client.messages.create(ASK)));
    expect(error).toBeInstanceOf(sdk.APIConnectionTimeoutError);
    expect(error.message).toBe("POST /v1/messages: no whole answer in 3 s (`timeout`)");
    expect([clock.time, sent.length]).toEqual([3000, 2]);
  });

  test("comes with the caller's signal, before, during and between attempts", async () => {
    const { client, sent } = served([]);
    const before = await caught(client.messages.create(ASK, { signal: AbortSignal.abort("why") }));
    expect(before).toBeInstanceOf(sdk.APIUserAbortError);
    expect([before.cause, sent.length]).toEqual(["why", 0]);

    const during = served([never]);
    const controller = new AbortController();
    const call = during.client.messages.create(ASK, { signal: controller.signal });
    setTimeout(() => controller.abort(), 5);
    expect(await caught(call)).toBeInstanceOf(sdk.APIUserAbortError);
    expect(during.clock.waiting).toBe(0);

    const between = served([failure(500, "x")]);
    const other = new AbortController();
    const waits = between.client.messages.create(ASK, { signal: other.signal });
    setTimeout(() => other.abort(), 5);
    expect(await caught(waits)).toBeInstanceOf(sdk.APIUserAbortError);
    expect(between.clock.waiting).toBe(0);
  });
});
