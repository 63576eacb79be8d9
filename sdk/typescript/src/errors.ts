// The errors of the SDK. A program decides by class, `type` and `errorCode`; the text is for people.
//
//     AntiphonError
//     ├── APIError
//     │   ├── APIConnectionError            no whole answer
//     │   │   └── APIConnectionTimeoutError     not in time
//     │   ├── APIUserAbortError             the caller's signal, or `abort()`
//     │   ├── APIResponseValidationError    an answer that is none of the API
//     │   └── APIStatusError                an answer that is an error
//     │       ├── BadRequestError 400 … one class for each status below
//     │       └── InternalServerError       500 and above
//     │           └── OverloadedError 529 …
//     ├── CredentialsError                  no key
//     └── ToolError                         thrown by tools; see `tool`

import { errorIn } from "./error_body.ts";

/** Anything that this SDK throws itself, except for wrong arguments. */
export class AntiphonError extends Error {
  override get name(): string {
    return this.constructor.name;
  }
}

/** A call needs a key, and the client has none. */
export class CredentialsError extends AntiphonError {}

/** A call of the API failed. */
export class APIError extends AntiphonError {
  /** The id that the server gave the request; `null` if no answer came. */
  readonly requestId: string | null;

  constructor(message: string, requestId: string | null = null, options?: ErrorOptions) {
    super(message, options);
    this.requestId = requestId;
  }

  /** `requestId`, by the name of the official SDK. */
  get requestID(): string | null {
    return this.requestId;
  }
}

/** No whole answer came: no connection, or it was lost. `cause` has what `fetch` threw. */
export class APIConnectionError extends APIError {}

/** No whole answer came in time; the text says which time ran out. */
export class APIConnectionTimeoutError extends APIConnectionError {}

/** The caller ended the call. */
export class APIUserAbortError extends APIError {}

/** An answer with the status of a success is none of the API, as of a proxy in between. */
export class APIResponseValidationError extends APIError {
  readonly status: number;

  constructor(message: string, status: number, requestId: string | null) {
    super(message, requestId);
    this.status = status;
  }
}

/** What is known of an answer that is an error. */
export interface StatusFacts {
  status: number;
  headers: Headers;
  /** The decoded JSON, or the text of another body. */
  body: unknown;
  /** The error's type on the wire; `null` if the answer has none. */
  type: string | null;
  message: string;
  details: Readonly<Record<string, unknown>>;
  requestId: string | null;
  /** How often the call was repeated. */
  retries: number;
}

/** The answer is an error. */
export class APIStatusError extends APIError {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
  readonly type: string | null;
  /** The server's own sentence, without what `message` adds to it. */
  readonly apiMessage: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly retries: number;

  constructor(facts: StatusFacts, note = "") {
    super(sentence(facts) + note, facts.requestId);
    this.status = facts.status;
    this.headers = facts.headers;
    this.body = facts.body;
    this.type = facts.type;
    this.apiMessage = facts.message;
    this.details = facts.details;
    this.retries = facts.retries;
  }

  /** The cause of the error for programs, of newer errors. */
  get errorCode(): string | null {
    const code = this.details.error_code;
    return typeof code === "string" ? code : null;
  }
}

export class BadRequestError extends APIStatusError {}
export class AuthenticationError extends APIStatusError {}
export class PaymentRequiredError extends APIStatusError {}
export class PermissionDeniedError extends APIStatusError {}
export class NotFoundError extends APIStatusError {}
export class RequestTimeoutError extends APIStatusError {}
export class ConflictError extends APIStatusError {}
export class RequestTooLargeError extends APIStatusError {}
export class UnprocessableEntityError extends APIStatusError {}
export class RateLimitError extends APIStatusError {}
/** 500 and above. */
export class InternalServerError extends APIStatusError {}
export class ServiceUnavailableError extends InternalServerError {}
export class GatewayTimeoutError extends InternalServerError {}
export class OverloadedError extends InternalServerError {}

const CLASSES: Readonly<Record<number, typeof APIStatusError>> = {
  400: BadRequestError,
  401: AuthenticationError,
  402: PaymentRequiredError,
  403: PermissionDeniedError,
  404: NotFoundError,
  408: RequestTimeoutError,
  409: ConflictError,
  413: RequestTooLargeError,
  422: UnprocessableEntityError,
  429: RateLimitError,
  503: ServiceUnavailableError,
  504: GatewayTimeoutError,
  529: OverloadedError,
};

/** Return the class of errors of a status of 400 and above. */
export function classOf(status: number): typeof APIStatusError {
  return CLASSES[status] ?? (status >= 500 ? InternalServerError : APIStatusError);
}

/** The statuses that the types of errors have, for errors in the middle of a stream. */
const STATUSES: Readonly<Record<string, number>> = {
  invalid_request_error: 400,
  authentication_error: 401,
  billing_error: 402,
  permission_error: 403,
  not_found_error: 404,
  conflict_error: 409,
  request_too_large: 413,
  rate_limit_error: 429,
  api_error: 500,
  timeout_error: 504,
  overloaded_error: 529,
};

const LONGEST_TEXT = 2000;

/** Return the error that an answer of 400 and above is; its body may be anything. */
export function statusError(
  answer: { status: number; headers: Headers; body: string },
  retries: number,
  note = "",
): APIStatusError {
  let value: unknown = answer.body;
  try {
    value = JSON.parse(answer.body);
  } catch {
    // A proxy in front of the server answered in words of its own.
  }
  const { message, type, details } = errorIn(value);
  const facts: StatusFacts = {
    status: answer.status,
    headers: answer.headers,
    body: value,
    type,
    message: message ?? plainText(answer.body),
    details,
    requestId: answer.headers.get("request-id"),
    retries,
  };
  return new (classOf(answer.status))(facts, note);
}

/** Return the error of an `error` event, which comes after the status of the answer. */
export function eventError(event: unknown, response: Response): APIStatusError {
  const { message, type, details } = errorIn(event);
  const facts: StatusFacts = {
    status: STATUSES[type ?? ""] ?? response.status,
    headers: response.headers,
    body: event,
    type,
    message: message ?? "the stream broke off with an error",
    details,
    requestId: response.headers.get("request-id"),
    retries: 0,
  };
  return new (classOf(facts.status < 400 ? 500 : facts.status))(facts);
}

function plainText(body: string): string {
  return body.split(/\s+/).join(" ").trim().slice(0, LONGEST_TEXT) || "the answer has no body";
}

function sentence(facts: StatusFacts): string {
  const told = facts.type ? `${facts.status} ${facts.type}` : String(facts.status);
  const request = facts.requestId ? ` (${facts.requestId})` : "";
  const after = facts.retries ? ` after ${facts.retries + 1} attempts` : "";
  return `${told}: ${facts.message}${request}${after}`;
}
