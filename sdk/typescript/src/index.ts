// What is public.

export { Call } from "./call.ts";
export type { CallOptions, ClientOptions, Operation } from "./client.ts";
export { Antiphon, Antiphon as default } from "./client.ts";
export { type Clock, systemClock } from "./clock.ts";
export {
  AntiphonError,
  APIConnectionError,
  APIConnectionTimeoutError,
  APIError,
  APIResponseValidationError,
  APIStatusError,
  APIUserAbortError,
  AuthenticationError,
  BadRequestError,
  ConflictError,
  CredentialsError,
  GatewayTimeoutError,
  InternalServerError,
  NotFoundError,
  OverloadedError,
  PaymentRequiredError,
  PermissionDeniedError,
  RateLimitError,
  RequestTimeoutError,
  RequestTooLargeError,
  ServiceUnavailableError,
  UnprocessableEntityError,
} from "./errors.ts";
export type { Fetch, HttpRequest, Pacer } from "./exchange.ts";
export type { Logger, LogLevel } from "./log.ts";
export { asUnknown, type Known, type Unknown } from "./open.ts";
export { Page, Pages } from "./pages.ts";
export type { PageBody } from "./paging.ts";
export { requestIdOf } from "./request_id.ts";
export type { WaitOptions } from "./resources/batches.ts";
export type { FileUpload } from "./resources/files.ts";
export type {
  MessageCreateParams,
  MessageCreateParamsNonStreaming,
  MessageCreateParamsStreaming,
  MessageParseParams,
  MessageStreamParams,
  ParsedMessage,
} from "./resources/messages.ts";
export { type RunnerParams, ToolRunner } from "./runner.ts";
export {
  type Fitting,
  type JsonSchema,
  outputSchema,
  type Schema,
  SchemaError,
  type StandardSchema,
} from "./schema.ts";
export { MessageStream, type Told } from "./stream.ts";
export {
  type RunnableTool,
  type ToolContent,
  type ToolContext,
  ToolError,
  type ToolParams,
  tool,
} from "./tools.ts";
export type * from "./wire.ts";
