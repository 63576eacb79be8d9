// The client: what every call has in common, and the groups of operations.

import { Call } from "./call.ts";
import { type Clock, systemClock } from "./clock.ts";
import { type Environment, LOCAL, processVariables, readEnvironment } from "./environment.ts";
import * as errors from "./errors.ts";
import { APIResponseValidationError, CredentialsError } from "./errors.ts";
import {
  Ending,
  exchange,
  type Fetch,
  type HttpRequest,
  type Pacer,
  type Reply,
} from "./exchange.ts";
import { type Logger, type LogLevel, levelled } from "./log.ts";
import { withQuery } from "./query.ts";
import { keepRequestId } from "./request_id.ts";
import { Files } from "./resources/files.ts";
import { Messages } from "./resources/messages.ts";
import { Models } from "./resources/models.ts";
import { Organization } from "./resources/organization.ts";
import { VERSION } from "./version.ts";

/** The version with the sampling parameters. Every server of the API speaks it. */
const API_VERSION = "2023-06-01";
const DEFAULT_TIMEOUT_MS = 600_000;
const DEFAULT_RETRIES = 2;
const LONGEST_SHOWN = 200;

/** How a client is set up. Times are milliseconds, and `null` is no bound. */
export interface ClientOptions {
  /**
   * Default: `ANTIPHON_API_KEY`, then `ANTHROPIC_API_KEY`, which needs a named address. `null`:
   * calls have no key.
   */
  apiKey?: string | null | undefined;
  /** A token in place of a key, sent as a bearer. Default: `ANTHROPIC_AUTH_TOKEN`. */
  authToken?: string | null | undefined;
  /** The key of `organization` calls. Default: `ANTIPHON_ADMIN_KEY`, then the API key. */
  adminKey?: string | null | undefined;
  /** Default: `ANTIPHON_BASE_URL`, then `ANTHROPIC_BASE_URL`, then the server on this machine. */
  baseURL?: string | undefined;
  /** Bounds a whole call with its retries; of a stream, the time until it begins. 10 minutes. */
  timeout?: number | null | undefined;
  /** Bounds the time in which a stream brings nothing but pings. 10 minutes. */
  idleTimeout?: number | null | undefined;
  /** How often a call is repeated that may pass next time. 2. */
  maxRetries?: number | undefined;
  /** Sent with every call, in place of those that the client sends itself. */
  defaultHeaders?: Record<string, string | null> | undefined;
  defaultQuery?: Record<string, string> | undefined;
  fetch?: Fetch | undefined;
  /** Passed on to `fetch`: credentials, a dispatcher for proxies. */
  fetchOptions?: RequestInit | undefined;
  /** Keeps calls under the rate limits: a `Limiter` of `antiphon/limiter`. */
  limiter?: Pacer | undefined;
  logger?: Logger | undefined;
  /** What is logged. Default: `ANTIPHON_SDK_LOG`, then `ANTHROPIC_LOG`, then warnings. */
  logLevel?: LogLevel | undefined;
  /** Where time and chance come from, for tests. */
  clock?: Clock | undefined;
  random?: (() => number) | undefined;
}

/** What one call may say besides its parameters. */
export interface CallOptions {
  signal?: AbortSignal | undefined;
  timeout?: number | null | undefined;
  idleTimeout?: number | null | undefined;
  maxRetries?: number | undefined;
  /** A header of `null` leaves out one that the client sends by default. */
  headers?: Record<string, string | null> | undefined;
  query?: Record<string, string> | undefined;
  /** Laid over the top of a JSON body: parameters that the types do not know. */
  extraBody?: Record<string, unknown> | undefined;
  /** Makes a repetition of the call have no second effect, where the API supports it. */
  idempotencyKey?: string | undefined;
}

/** One operation of the API. */
export interface Operation<T> {
  method: "GET" | "POST" | "DELETE";
  path: string;
  query?: object | undefined;
  body?: object | undefined;
  form?: FormData | undefined;
  headers?: Record<string, string> | undefined;
  /** Whether it is sent with the admin key, if there is one. */
  isAdmin?: boolean | undefined;
  /** Reads the answer. Default: JSON. */
  read?: ((response: Response) => Promise<T>) | undefined;
}

/**
 * A client of the API, for Antiphon and the hosted API alike.
 *
 *     const client = new Antiphon();
 *     const message = await client.messages.create({ model, max_tokens: 1024, messages });
 */
export class Antiphon {
  // Errors by the class of the client, as programs for the official SDK catch them.
  static readonly APIError: typeof errors.APIError = errors.APIError;
  static readonly APIConnectionError: typeof errors.APIConnectionError = errors.APIConnectionError;
  static readonly APIConnectionTimeoutError: typeof errors.APIConnectionTimeoutError =
    errors.APIConnectionTimeoutError;
  static readonly APIUserAbortError: typeof errors.APIUserAbortError = errors.APIUserAbortError;
  static readonly BadRequestError: typeof errors.BadRequestError = errors.BadRequestError;
  static readonly AuthenticationError: typeof errors.AuthenticationError =
    errors.AuthenticationError;
  static readonly PermissionDeniedError: typeof errors.PermissionDeniedError =
    errors.PermissionDeniedError;
  static readonly NotFoundError: typeof errors.NotFoundError = errors.NotFoundError;
  static readonly ConflictError: typeof errors.ConflictError = errors.ConflictError;
  static readonly UnprocessableEntityError: typeof errors.UnprocessableEntityError =
    errors.UnprocessableEntityError;
  static readonly RateLimitError: typeof errors.RateLimitError = errors.RateLimitError;
  static readonly InternalServerError: typeof errors.InternalServerError =
    errors.InternalServerError;

  readonly baseURL: string;
  readonly maxRetries: number;
  readonly timeout: number | null;
  readonly idleTimeout: number | null;
  readonly messages: Messages;
  readonly models: Models;
  readonly files: Files;
  readonly organization: Organization;
  /** @internal */
  readonly clock: Clock;
  /** @internal */
  readonly random: () => number;
  readonly logger: Logger;
  /** @internal */
  readonly limiter: Pacer | undefined;
  readonly #options: ClientOptions;
  readonly #headers: Record<string, string>;
  readonly #adminHeaders: Record<string, string>;
  readonly #keptBack: string[];
  readonly #fetch: Fetch;

  constructor(options: ClientOptions = {}) {
    const said = readEnvironment(processVariables(), options.baseURL !== undefined);
    this.#keptBack = said.keptBack;
    this.#options = options;
    this.baseURL = addressOf(options.baseURL ?? said.baseURL ?? LOCAL);
    this.maxRetries = options.maxRetries ?? DEFAULT_RETRIES;
    this.timeout = orDefault(options.timeout);
    this.idleTimeout = orDefault(options.idleTimeout);
    this.clock = options.clock ?? systemClock;
    this.random = options.random ?? Math.random;
    this.limiter = options.limiter;
    this.logger = levelled(options.logLevel ?? said.log ?? "warn", options.logger ?? console);
    this.#fetch = options.fetch ?? ((url, init) => fetch(url, init));
    const credential = credentialOf(options, said);
    const adminKey = options.adminKey === undefined ? said.adminKey : options.adminKey;
    const headers = (key: Record<string, string>): Record<string, string> =>
      merged(
        {
          accept: "application/json",
          "anthropic-version": API_VERSION,
          ...callerHeaders(),
        },
        key,
        said.headers,
        options.defaultHeaders,
      );
    this.#headers = headers(credential);
    this.#adminHeaders = adminKey ? headers({ "x-api-key": adminKey }) : this.#headers;
    this.messages = new Messages(this);
    this.models = new Models(this);
    this.files = new Files(this);
    this.organization = new Organization(this);
  }

  /** Return a client with some options in place of its own. */
  withOptions(options: ClientOptions): Antiphon {
    return new Antiphon({ ...this.#options, ...options });
  }

  /** What the official SDK has under `beta`: here it is the same as without. */
  get beta(): Pick<Antiphon, "messages" | "models" | "files"> {
    return this;
  }

  /** Make a call. Operations that have no method yet can be called by it. */
  request<T>(operation: Operation<T>, options: CallOptions = {}): Call<T> {
    return new Call<T>(async (isRaw) => {
      const ending = new Ending(options.signal);
      if (isRaw) return { ...(await this.open(operation, options, ending)), value: undefined };
      try {
        return await this.#send(operation, options, ending, operation.read ?? readJson<T>);
      } finally {
        ending.settle();
      }
    });
  }

  /**
   * Make a call whose answer is read as it comes: once it begins, only the ending ends it.
   *
   * @internal
   */
  async open(
    operation: Operation<unknown>,
    options: CallOptions,
    ending: Ending,
  ): Promise<Reply<Response>> {
    try {
      const reply = await this.#send(operation, options, ending, (response) => response);
      ending.unbound();
      return reply;
    } catch (error) {
      ending.settle();
      throw error;
    }
  }

  #send<T>(
    operation: Operation<unknown>,
    options: CallOptions,
    ending: Ending,
    read: (response: Response) => Promise<T> | T,
  ): Promise<Reply<T>> {
    const conditions = {
      fetch: this.#fetch,
      fetchOptions: this.#options.fetchOptions ?? {},
      timeout: options.timeout === undefined ? this.timeout : orDefault(options.timeout),
      maxRetries: options.maxRetries ?? this.maxRetries,
      clock: this.clock,
      random: this.random,
      logger: this.logger,
      pacer: this.limiter,
    };
    return exchange(this.#requestOf(operation, options), conditions, ending, read);
  }

  #requestOf(operation: Operation<unknown>, options: CallOptions): HttpRequest {
    const { method, path, query, body, form } = operation;
    const { defaultQuery } = this.#options;
    const target =
      query || options.query || defaultQuery
        ? withQuery(path, { ...defaultQuery, ...query, ...options.query })
        : path;
    let headers = operation.isAdmin ? this.#adminHeaders : this.#headers;
    const own: Record<string, string> = { ...operation.headers };
    if (body) own["content-type"] = "application/json";
    if (options.idempotencyKey) own["idempotency-key"] = options.idempotencyKey;
    headers = merged(headers, own, options.headers);
    if (this.#options.apiKey !== null && !headers["x-api-key"] && !headers.authorization) {
      throw new CredentialsError(noKey(this.#keptBack));
    }
    const json = body && jsonOf(options.extraBody ? { ...body, ...options.extraBody } : body);
    return { method, url: this.baseURL + target, headers, body: form ?? json, params: body };
  }
}

function noKey(keptBack: string[]): string {
  const how = "give `apiKey` to the client, or set ANTIPHON_API_KEY";
  if (!keptBack.length) return `no key: ${how} (or ANTHROPIC_API_KEY)`;
  return (
    `no key for ${LOCAL}: ${how}. ${keptBack.join(" and ")} ${keptBack[1] ? "are" : "is"} not ` +
    "sent to a server that nobody has named: if it is meant, give `baseURL`, or set " +
    "ANTIPHON_BASE_URL or ANTHROPIC_BASE_URL"
  );
}

/** Return JSON. Throws `TypeError` for a number that is none: `null` asks for the default. */
function jsonOf(value: object): string {
  const written = JSON.stringify(value);
  if (!written.includes("null")) return written;
  return JSON.stringify(value, (name, item: unknown) => {
    if (typeof item !== "number" || Number.isFinite(item)) return item;
    throw new TypeError(`the value of \`${name}\` is no finite number, which JSON does not have`);
  });
}

function orDefault(ms: number | null | undefined): number | null {
  if (ms === undefined) return DEFAULT_TIMEOUT_MS;
  if (ms !== null && !(ms > 0)) throw new TypeError(`a timeout is ${ms}; it is more than 0 ms`);
  return ms;
}

function addressOf(said: string): string {
  const [, shown] = /^(?:[^/?#]*:\/\/)?[^/?#]*@(.*)$/s.exec(said) ?? [];
  // `fetch` refuses credentials, and shows them.
  if (shown !== undefined) {
    throw new TypeError(`baseURL has a name or a password before "${shown}"; give the key apart`);
  }
  if (!/^https?:\/\//.test(said)) {
    throw new TypeError(`baseURL is "${said}"; it begins with http:// or https://`);
  }
  if (/[?#]/.test(said)) {
    throw new TypeError(`baseURL is "${said}"; paths follow it, so it has no ? and no #`);
  }
  return said.replace(/\/+$/, "").replace(/\/v1$/, "");
}

function credentialOf(options: ClientOptions, said: Environment): Record<string, string> {
  const { apiKey, authToken } = options;
  if (apiKey && authToken) throw new TypeError("give `apiKey` or `authToken`, not both");
  const isGiven = apiKey !== undefined || Boolean(authToken);
  const key = isGiven ? apiKey : said.apiKey;
  const token = isGiven ? authToken : said.authToken;
  if (key) return { "x-api-key": key };
  return token ? { authorization: `Bearer ${token}` } : {};
}

/** Return headers with later ones in place of earlier ones; one of `null` is left out. */
function merged(
  first: Record<string, string>,
  ...later: Array<Record<string, string | null> | undefined>
): Record<string, string> {
  const headers = { ...first };
  for (const each of later) {
    for (const name in each) {
      const value = each[name];
      if (value === null || value === undefined) delete headers[name.toLowerCase()];
      else headers[name.toLowerCase()] = sendable(name, value);
    }
  }
  return headers;
}

/** Return the value of a header. The fault's text has no value, as that of `fetch` has: a secret. */
function sendable(name: string, value: string): string {
  if (/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) return value;
  throw new TypeError(`the header ${name} has a character that no header can have`);
}

/** Return who asks. A browser says that itself, and the hosted API wants a header of pages. */
function callerHeaders(): Record<string, string> {
  const isPage = "document" in globalThis;
  const isWorker = "WorkerGlobalScope" in globalThis && !("Deno" in globalThis);
  return isPage || isWorker
    ? { "anthropic-dangerous-direct-browser-access": "true" }
    : { "user-agent": `antiphon/${VERSION} typescript` };
}

async function readJson<T>(response: Response): Promise<T> {
  const text = await response.text();
  const requestId = response.headers.get("request-id");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    const begin = JSON.stringify(text.slice(0, LONGEST_SHOWN));
    throw new APIResponseValidationError(
      `the answer is none of the API: it begins with ${begin}`,
      response.status,
      requestId,
    );
  }
  if (typeof value === "object" && value !== null) keepRequestId(value, requestId);
  return value as T;
}
