// Written by `make typescript-types` from the description of the API. Not to be changed by hand.

import type { Known, Unknown } from "./open.ts";

export type ContentBlock =
  | TextBlock
  | ThinkingBlock
  | RedactedThinkingBlock
  | ToolUseBlock
  | ServerToolUseBlock
  | ToolSearchToolResultBlock
  | WebSearchToolResultBlock
  | WebFetchToolResultBlock
  | Unknown;

export type ContentBlockParam =
  | TextBlockParam
  | ImageBlockParam
  | DocumentBlockParam
  | SearchResultBlockParam
  | ThinkingBlockParam
  | RedactedThinkingBlockParam
  | ToolUseBlockParam
  | ToolResultBlockParam
  | ToolAdditionBlockParam
  | ToolRemovalBlockParam
  | ServerToolUseBlockParam
  | ToolSearchToolResultBlockParam
  | WebSearchToolResultBlockParam
  | WebFetchToolResultBlockParam
  | Unknown;

export type ToolResultContentParam =
  | TextBlockParam
  | ImageBlockParam
  | SearchResultBlockParam
  | DocumentBlockParam
  | ToolReferenceBlockParam
  | Unknown;

export type StartedBlock =
  | StartedText
  | StartedThinking
  | StartedRedactedThinking
  | StartedToolUse
  | StartedServerToolUse
  | ToolSearchToolResultBlock
  | WebSearchToolResultBlock
  | WebFetchToolResultBlock
  | Unknown;

export type ContentBlockDelta =
  | TextDelta
  | ThinkingDelta
  | SignatureDelta
  | InputJsonDelta
  | CitationsDelta
  | Unknown;

export type TextCitation =
  | CharLocation
  | PageLocation
  | ContentBlockLocation
  | WebSearchResultLocation
  | SearchResultLocation
  | Unknown;

export type TextCitationParam =
  | CharLocationParam
  | PageLocationParam
  | ContentBlockLocationParam
  | WebSearchResultLocationParam
  | SearchResultLocationParam
  | Unknown;

export type ToolChoice =
  | ToolChoiceAuto
  | ToolChoiceAny
  | ToolChoiceTool
  | ToolChoiceNone;

export type ToolUnion =
  | Tool
  | DefinedTool
  | EditorTool
  | ToolSearchTool
  | WebSearchTool
  | LaterWebSearchTool
  | WebFetchTool
  | CachingWebFetchTool
  | LaterWebFetchTool;

export type ThinkingConfigParam =
  | ThinkingConfigEnabled
  | ThinkingConfigAdaptive
  | ThinkingConfigDisabled
  | ThinkingConfigBetweenTools
  | Unknown;

export type MessageStreamEvent =
  | MessageStartEvent
  | ContentBlockStartEvent
  | ContentBlockDeltaEvent
  | ContentBlockStopEvent
  | MessageDeltaEvent
  | MessageStopEvent
  | PingEvent
  | ErrorEvent
  | Unknown;

export type MessageBatchResult =
  | MessageBatchSucceededResult
  | MessageBatchErroredResult
  | MessageBatchCanceledResult
  | MessageBatchExpiredResult
  | Unknown;

export type StopReason = Known<
  | "end_turn"
  | "max_tokens"
  | "model_context_window_exceeded"
  | "pause_turn"
  | "refusal"
  | "stop_sequence"
  | "tool_use"
>;

/** The name of the invited person. */
export interface AcceptInviteParams {
  name: string;
}

export interface ActivityBucket {
  starting_at: string;
  ending_at: string;
  results: ActivityResult[];
}

/** The activity; `total` is that of all its buckets and groups. */
export interface ActivityReport {
  data: ActivityBucket[];
  has_more: boolean;
  next_page: string | null;
  total: ActivityResult;
}

/** What happened in a bucket. */
export interface ActivityResult {
  requests: number;
  refused: number;
  errors: Record<string, number>;
  uncached_input_tokens: number;
  cache_creation_input_tokens: number;
  cache_read_input_tokens: number;
  output_tokens: number;
  cache_read_share: number | null;
  cost: Money | null;
  saved: Money | null;
  first_token: FirstTokenTimes | null;
  api_key_id: string | null;
  workspace_id: string | null;
  model: string | null;
}

export interface AddMemberParams {
  user_id: string;
  workspace_role:
    | "workspace_admin"
    | "workspace_developer"
    | "workspace_restricted_developer"
    | "workspace_user";
}

/** An admin key, which cannot call models. */
export interface AdminKeyScope {
  type: "admin";
}

/** Everything counts. */
export interface AllSources {
  type: "all";
}

/** A key without its secret. */
export interface ApiKey {
  id: string;
  type: "api_key";
  name: string;
  status: Known<"active" | "archived" | "expired" | "inactive">;
  created_at: string;
  expires_at: string | null;
  last_used_at: string | null;
  created_by: CreatedBy | null;
  partial_key_hint: string | null;
  principal: null;
  scope: WorkspaceKeyScope | OrganizationKeyScope | AdminKeyScope;
  secret?: string | undefined;
}

/** A new key; without a scope it belongs to the Default workspace. */
export interface ApiKeyCreateParams {
  name: string;
  scope?: WorkspaceKeyScopeParam | OrganizationKeyScopeParam | null | undefined;
  expires_in_seconds?: number | null | undefined;
  created_by_user_id?: string | null | undefined;
}

/** The time for which the present secrets of a key stay valid beside the new one. */
export interface ApiKeyRotateParams {
  grace_period_seconds?: number | undefined;
}

/** Changes of a key. */
export interface ApiKeyUpdateParams {
  name?: string | null | undefined;
  status?: "active" | "archived" | "inactive" | null | undefined;
}

/** The limit, the amount it should have, and why. */
export interface AskForIncreaseParams {
  limit: RateLimitTarget | SpendLimitTarget;
  requested: string | number;
  reason: string;
}

/** One administrative change: its actor, and the object before and after it. */
export interface AuditEntry {
  id: string;
  type: "audit_log_entry";
  created_at: string;
  actor: Record<string, unknown>;
  action: string;
  object: Record<string, string>;
  scope: Record<string, unknown> | null;
  before: Record<string, unknown> | null;
  after: Record<string, unknown> | null;
  request_id: string | null;
}

/** The last backup that is known of, and the command that makes one. */
export interface Backup {
  command: string;
  last_at: string | null;
  last_size_bytes: number | null;
}

/** The spending of a scope in the current period, and the rest of its limit; in cents. */
export interface Balance {
  type: "balance";
  scope: Record<string, unknown>;
  period: Known<"daily" | "monthly" | "weekly">;
  starting_at: string;
  ending_at: string;
  currency: Known<"USD">;
  spent: string;
  held: string;
  limit: string | null;
  remaining: string | null;
}

/** An image inside the request. */
export interface Base64ImageSource {
  type: "base64";
  media_type: "image/gif" | "image/jpeg" | "image/png" | "image/webp";
  data: string;
}

/** A PDF inside the request. */
export interface Base64PdfSource {
  type: "base64";
  media_type: "application/pdf";
  data: string;
}

/** The body of `POST /v1/messages/batches`, which `wire.batch_body` decodes in pieces. */
export interface BatchCreateParams {
  requests: BatchRequest[];
}

/** The calls of the endpoints of Message Batches. */
export interface BatchGroup {
  type: "batch";
  id: string;
}

/** One request of a batch. */
export interface BatchRequest {
  custom_id: string;
  params: MessageCreateBody;
}

/** A breakpoint: the tokens before it, and whether they were read, written, or not kept. */
export interface Breakpoint {
  tokens: number;
  ttl: string;
  state: string;
}

/** How full a rate limit's bucket was: of `limit` a minute, `remaining` were left. */
export interface Bucket {
  scope: string;
  scope_id: string;
  type: string;
  limit: number;
  remaining: number;
  full_in_ms: number;
}

/** Where a prompt cache entry ends. */
export interface CacheControlEphemeral {
  type: "ephemeral";
  ttl?: "1h" | "5m" | undefined;
  scope?: unknown;
}

/** Tokens written to the prompt cache, by lifetime. */
export interface CacheCreation {
  ephemeral_5m_input_tokens: number;
  ephemeral_1h_input_tokens: number;
}

/** A prefix that requests can read. */
export interface CacheEntry {
  id: string;
  type: "prompt_cache_entry";
  model: string;
  workspace_id: string | null;
  tokens: number;
  ttl: string | null;
  written_at: string | null;
  last_used_at: string;
  expires_at: string;
  hits: number | null;
  saved: Money | null;
  snapshot_bytes: number | null;
}

/** Why a prompt is not read from the cache as far as an earlier one reached. */
export interface CacheMissReason {
  type:
    | "messages_changed"
    | "model_changed"
    | "previous_message_not_found"
    | "system_changed"
    | "tools_changed"
    | "unavailable";
  cache_missed_input_tokens?: number | undefined;
}

/** What the prompt cache did in a bucket. */
export interface CacheReportResult {
  requests: number;
  cache_read_requests: number;
  uncached_input_tokens: number;
  cache_read_input_tokens: number;
  cache_creation: CacheCreation;
  cache_read_share: number | null;
  saved: Money;
  workspace_id: string | null;
  model: string | null;
}

/** What a request did with the prompt cache; `reason` says why it read no more. */
export interface CacheUse {
  read_tokens: number;
  written_tokens: number;
  planned_read_tokens: number;
  source: Known<"disk" | "memory"> | null;
  reason: string | null;
  breakpoints: Breakpoint[];
}

/** What is kept of the prompts of one model. */
export interface CachedModel {
  id: string;
  type: "prompt_cache_model";
  cached_by: Known<"engine" | "upstream"> | null;
  minimum_tokens: number;
  entries: number;
  tokens: number;
  snapshots: number;
  snapshot_bytes: number;
  snapshot_bytes_limit: number | null;
  mismatches: number | null;
}

/** The same, in the version that says whether a page may be from a cache. */
export interface CachingWebFetchTool {
  type: string;
  name: string;
  strict?: boolean | null | undefined;
  defer_loading?: boolean | null | undefined;
  allowed_callers?: Array<"code_execution_20250825" | "code_execution_20260120" | "code_execution_20260521" | "direct"> | null | undefined;
  cache_control?: CacheControlEphemeral | null | undefined;
  allowed_domains?: string[] | null | undefined;
  blocked_domains?: string[] | null | undefined;
  max_uses?: number | null | undefined;
  max_content_tokens?: number | null | undefined;
  citations?: FetchCitations | null | undefined;
  url_sources?: UrlSourcesParam | null | undefined;
  use_cache?: boolean | null | undefined;
}

/** Characters of a plain text. */
export interface CharLocation {
  type: "char_location";
  cited_text: string;
  document_index: number;
  document_title: string | null;
  start_char_index: number;
  end_char_index: number;
  file_id: string | null;
}

export interface CharLocationParam {
  type: "char_location";
  cited_text: string;
  document_index: number;
  document_title: string | null;
  start_char_index: number;
  end_char_index: number;
  file_id?: string | null | undefined;
}

/** Whether a fetched document is cited. */
export interface CitationsBlock {
  enabled: boolean;
}

/** One citation of the text of its block. */
export interface CitationsDelta {
  type: "citations_delta";
  citation: TextCitation;
}

/** Whether the answer cites the document. */
export interface CitationsParam {
  enabled?: boolean | undefined;
}

/** A container for code. */
export interface ContainerParams {
  id?: string | null | undefined;
  skills?: SkillParam[] | null | undefined;
}

export interface ContentBlockDeltaEvent {
  type: "content_block_delta";
  index: number;
  delta: ContentBlockDelta;
}

/** Blocks of a document that is made of blocks. */
export interface ContentBlockLocation {
  type: "content_block_location";
  cited_text: string;
  document_index: number;
  document_title: string | null;
  start_block_index: number;
  end_block_index: number;
  file_id: string | null;
}

export interface ContentBlockLocationParam {
  type: "content_block_location";
  cited_text: string;
  document_index: number;
  document_title: string | null;
  start_block_index: number;
  end_block_index: number;
  file_id?: string | null | undefined;
}

export interface ContentBlockStartEvent {
  type: "content_block_start";
  index: number;
  content_block: StartedBlock;
}

export interface ContentBlockStopEvent {
  type: "content_block_stop";
  index: number;
}

/** A document that is made of blocks. */
export interface ContentSource {
  type: "content";
  content: string | Array<TextBlockParam | ImageBlockParam>;
}

export interface ContextManagement {
  supported: boolean;
  clear_thinking_20251015: Supported | null;
  clear_tool_uses_20250919: Supported | null;
  compact_20260112: Supported | null;
}

export interface CostBucket {
  starting_at: string;
  ending_at: string;
  results: CostResult[];
}

/** One page of buckets, the oldest first; `next_page` leads to those after them. */
export interface CostReport {
  data: CostBucket[];
  has_more: boolean;
  next_page: string | null;
}

/** A cost: `amount` is in cents, exact to the nano-dollar. */
export interface CostResult {
  amount: string;
  currency: Known<"USD">;
  workspace_id: string | null;
  description: string | null;
  cost_type: Known<"tokens" | "web_search"> | null;
  token_type: string | null;
  model: string | null;
  service_tier: string | null;
  context_window: string | null;
  inference_geo: string | null;
}

/** What keeps the state of limits; `name` is the host of a Valkey server. */
export interface Counters {
  backend: Known<"memory" | "valkey">;
  name: string | null;
}

export interface CreateInviteParams {
  email: string;
  role: "billing" | "claude_code_user" | "developer" | "managed" | "user";
  rbac_group_ids?: string[] | null | undefined;
}

/** A limit to set. */
export interface CreateSpendLimitParams {
  scope: OrganizationSpendScope | WorkspaceSpendScope | KeySpendScope;
  amount: string | null;
  period?: "daily" | "monthly" | "weekly" | undefined;
}

/** `external_key_id` and `user_profile_id` are decoded only to be refused by name. */
export interface CreateWorkspaceParams {
  name: string;
  display_color?: string | null | undefined;
  data_residency?: DataResidencyParam | null | undefined;
  tags?: object | null | undefined;
  external_key_id?: string | null | undefined;
  user_profile_id?: string | null | undefined;
}

/** The creator of a key. */
export interface CreatedBy {
  id: string;
  type: "user";
}

/** The data folder, and the disk that it is on; `None`: the disk cannot be asked. */
export interface DataFolder {
  path: string;
  free_bytes: number | null;
  total_bytes: number | null;
}

/** The location of a workspace's data, as constants that all clients know. */
export interface DataResidency {
  workspace_geo: Known<"us">;
  allowed_inference_geos: Known<"unrestricted">;
  default_inference_geo: Known<"global">;
}

/** The requested location of a workspace's data; only the values of `DataResidency` pass. */
export interface DataResidencyParam {
  workspace_geo?: "us" | null | undefined;
  allowed_inference_geos?: "unrestricted" | null | undefined;
  default_inference_geo?: "global" | null | undefined;
}

/** The database: its kind, its version, its size; `name` has neither user nor password. */
export interface Database {
  kind: Known<"postgresql" | "sqlite">;
  version: string;
  name: string;
  size_bytes: number;
}

/** A tool that Anthropic defines and the caller runs: a shell, an editor, a memory. */
export interface DefinedTool {
  type: string;
  name: string;
  strict?: boolean | null | undefined;
  defer_loading?: boolean | null | undefined;
  allowed_callers?: Array<"code_execution_20250825" | "code_execution_20260120" | "code_execution_20260521" | "direct"> | null | undefined;
  cache_control?: CacheControlEphemeral | null | undefined;
  input_examples?: object[] | null | undefined;
}

/** The confirmation of a deletion. */
export interface Deleted {
  id: string;
  type: "invite_deleted" | "spend_limit_deleted" | "user_deleted";
}

/** The answer to a deletion. */
export interface DeletedBatch {
  id: string;
  type: "message_batch_deleted";
}

/** The answer to a deletion. */
export interface DeletedFile {
  id: string;
  type: "file_deleted";
}

/** What `diagnostics` of the request asked for. */
export interface Diagnostics {
  cache_miss_reason: CacheMissReason | null;
}

/** A question for the reason of a miss of the prompt cache. */
export interface DiagnosticsParam {
  previous_message_id?: string | null | undefined;
}

/** The caller of a tool: the model itself. */
export interface DirectCaller {
  type: "direct";
}

/** A fetched document. */
export interface DocumentBlock {
  type: "document";
  source: TextSourceBlock | PdfSourceBlock;
  title: string | null;
  citations: CitationsBlock | null;
}

/** A document block of a request. */
export interface DocumentBlockParam {
  type: "document";
  cache_control?: CacheControlEphemeral | null | undefined;
  source: Base64PdfSource | PlainTextSource | ContentSource | UrlSource | FileSource;
  title?: string | null | undefined;
  context?: string | null | undefined;
  citations?: CitationsParam | null | undefined;
}

/** The text editor, in the versions that can limit the characters they show. */
export interface EditorTool {
  type: string;
  name: string;
  strict?: boolean | null | undefined;
  defer_loading?: boolean | null | undefined;
  allowed_callers?: Array<"code_execution_20250825" | "code_execution_20260120" | "code_execution_20260521" | "direct"> | null | undefined;
  cache_control?: CacheControlEphemeral | null | undefined;
  input_examples?: object[] | null | undefined;
  max_characters?: number | null | undefined;
}

export interface EffortCapability {
  supported: boolean;
  low: Supported;
  medium: Supported;
  high: Supported;
  max: Supported;
  xhigh: Supported | null;
}

/** One engine of a model; `number` is its place among several, and in the request log. */
export interface Engine {
  number: number;
  engine: string;
  status: Known<"left_out" | "loading" | "ready" | "restarting">;
  running: number;
  waiting: number | null;
  slots: number | null;
  busy_slots: number | null;
  left_out_s: number | null;
  restarts: number | null;
  last_failure: EngineFailure | null;
  last_error: EngineError | null;
  memory: EngineMemory | null;
  speed: EngineSpeed | null;
}

/** The last error of an engine in a request: when, and its kind. */
export interface EngineError {
  at: string;
  kind: string;
}

/** Why an engine ended or did not start. */
export interface EngineFailure {
  at: string;
  reason: string | null;
}

/** Bytes: what the engine's processes use now, and what the model takes by its file. */
export interface EngineMemory {
  process_bytes: number | null;
  batch_process_bytes: number | null;
  weights_bytes: number | null;
  kv_bytes_per_token: number | null;
  kv_bytes: number | null;
}

/** An option of an engine that is set; one that may hold a secret has no `value`. */
export interface EngineOption {
  name: string;
  value: boolean | number | string | string[] | null;
}

/** One engine of a model; `source` is the model's file, without what could be a secret. */
export interface EngineSettings {
  engine: string;
  weight: number;
  source: string | null;
  options: EngineOption[];
}

/** Tokens in a second of one request, in the last minutes; `None` without requests. */
export interface EngineSpeed {
  prefill_tokens_per_second: number | null;
  decode_tokens_per_second: number | null;
  measured_by: Known<"engine" | "server">;
}

export interface ErrorEvent {
  type: "error";
  error: ErrorObject;
  request_id: string | null;
}

/** An error: a type for programs, a message for people. */
export interface ErrorObject {
  type: string;
  message: string;
  details?: Record<string, unknown> | null | undefined;
}

/** The body of an answer that is an error. */
export interface ErrorResponse {
  type: "error";
  error: ErrorObject;
  request_id: string | null;
}

/** Results of all but these tools count. */
export interface ExceptSources {
  type: "except";
  tools: NamedTool[];
}

/** Whether fetched documents are cited. */
export interface FetchCitations {
  enabled?: boolean | undefined;
}

/** What is known of a file, without its content. */
export interface FileMetadata {
  id: string;
  type: "file";
  filename: string;
  mime_type: string;
  size_bytes: number;
  created_at: string;
  downloadable: boolean;
  expires_at: string | null;
}

/** An uploaded file. */
export interface FileSource {
  type: "file";
  file_id: string;
}

/** What the files of a workspace take, and what they may take, in bytes. */
export interface FileStorage {
  type: "file_storage";
  workspace_id: string;
  used_bytes: number;
  quota_bytes: number | null;
  free_bytes: number;
  largest_file_bytes: number;
  downloadable: boolean;
}

/** The calls of the endpoints of files. */
export interface FilesGroup {
  type: "files";
  id: string;
}

/** Milliseconds from admission to the first token; percentiles are told from classes. */
export interface FirstTokenTimes {
  mean_ms: number;
  p50_ms: number;
  p95_ms: number;
}

/** The schema of an answer in JSON. */
export interface FormatParam {
  type: "json_schema";
  schema: object;
}

/** The amount to grant, without one the requested; `answer` is a sentence to the asker. */
export interface GrantIncreaseParams {
  granted?: string | number | null | undefined;
  answer?: string | null | undefined;
}

/** An image block of a request. */
export interface ImageBlockParam {
  type: "image";
  cache_control?: CacheControlEphemeral | null | undefined;
  source: Base64ImageSource | UrlSource | FileSource;
  transformations?: ImageTransformations | null | undefined;
}

/** The allowed changes of an image before the model sees it. */
export interface ImageTransformations {
  oversized_image?: "downsize" | "error" | null | undefined;
}

/** A piece of a call's input: JSON text, cut anywhere. */
export interface InputJsonDelta {
  type: "input_json_delta";
  partial_json: string;
}

/** An invitation to become a user. */
export interface Invite {
  id: string;
  type: "invite";
  email: string;
  role: "admin" | "billing" | "claude_code_user" | "developer" | "managed" | "user";
  status: Known<"accepted" | "deleted" | "expired" | "pending">;
  invited_at: string;
  expires_at: string;
  accepted_at: string | null;
  rbac_group_ids: string[];
  link?: string | undefined;
}

/** A key's limits for one group. */
export interface KeyRateLimit {
  type: "api_key_rate_limit";
  rate_limit_id: string;
  api_key_id: string;
  group: ModelGroup | TokenCountGroup | BatchGroup | FilesGroup;
  models: string[] | null;
  limits: NarrowerLimitValue[];
}

/** One key. */
export interface KeySpendScope {
  type: "api_key";
  api_key_id: string;
}

/** The same, in the version that says how results of code appear. */
export interface LaterWebFetchTool {
  type: string;
  name: string;
  strict?: boolean | null | undefined;
  defer_loading?: boolean | null | undefined;
  allowed_callers?: Array<"code_execution_20250825" | "code_execution_20260120" | "code_execution_20260521" | "direct"> | null | undefined;
  cache_control?: CacheControlEphemeral | null | undefined;
  allowed_domains?: string[] | null | undefined;
  blocked_domains?: string[] | null | undefined;
  max_uses?: number | null | undefined;
  max_content_tokens?: number | null | undefined;
  citations?: FetchCitations | null | undefined;
  url_sources?: UrlSourcesParam | null | undefined;
  use_cache?: boolean | null | undefined;
  response_inclusion?: "excluded" | "full" | null | undefined;
}

/** The same, in the version that says how results of code appear. */
export interface LaterWebSearchTool {
  type: string;
  name: string;
  strict?: boolean | null | undefined;
  defer_loading?: boolean | null | undefined;
  allowed_callers?: Array<"code_execution_20250825" | "code_execution_20260120" | "code_execution_20260521" | "direct"> | null | undefined;
  cache_control?: CacheControlEphemeral | null | undefined;
  allowed_domains?: string[] | null | undefined;
  blocked_domains?: string[] | null | undefined;
  max_uses?: number | null | undefined;
  user_location?: UserLocation | null | undefined;
  response_inclusion?: "excluded" | "full" | null | undefined;
}

/** An increase request. */
export interface LimitIncreaseRequest {
  id: string;
  type: "limit_increase_request";
  status: Known<"granted" | "open" | "refused" | "replaced" | "withdrawn">;
  limit: Record<string, unknown>;
  current: string | number | null;
  requested: string | number;
  granted: string | number | null;
  reason: string;
  answer: string | null;
  asked_by: Record<string, unknown>;
  asked_at: string;
  ended_by: Record<string, unknown> | null;
  ended_at: string | null;
  replaced_by: string | null;
}

/** A limit to set, or with `null` to clear. */
export interface LimitParam {
  type: "input_tokens_per_minute_cache_aware" | "output_tokens_per_minute" | "requests_per_minute";
  value: number | null;
}

/** The level at which a limit was set. */
export interface LimitSource {
  type: "api_key" | "organization" | "workspace";
}

export interface LimitValue {
  type: string;
  value: number;
}

export interface MemberDeleted {
  type: "workspace_member_deleted";
  user_id: string;
  workspace_id: string;
}

/** An answer. */
export interface Message {
  model: string;
  id: string;
  type: "message";
  role: "assistant";
  content: ContentBlock[];
  stop_reason: StopReason | null;
  stop_sequence: string | null;
  stop_details: RefusalDetails | null;
  usage: Usage;
  container: Record<string, unknown> | null;
  diagnostics: Diagnostics | null;
}

/** A batch. */
export interface MessageBatch {
  id: string;
  type: "message_batch";
  processing_status: Known<"canceling" | "ended" | "in_progress">;
  request_counts: MessageBatchRequestCounts;
  ended_at: string | null;
  created_at: string;
  expires_at: string;
  cancel_initiated_at: string | null;
  archived_at: string | null;
  results_url: string | null;
  waits_for?: string | undefined;
  slowed_by?: string | undefined;
  cost?: Money | undefined;
}

/** The batch was canceled before the request was processed. */
export interface MessageBatchCanceledResult {
  type: "canceled";
}

/** The error of a request, in a whole envelope. */
export interface MessageBatchErroredResult {
  type: "errored";
  error: ErrorResponse;
}

/** The batch expired before the request was processed. */
export interface MessageBatchExpiredResult {
  type: "expired";
}

/** One line of the results. */
export interface MessageBatchIndividualResponse {
  custom_id: string;
  result: MessageBatchResult;
}

/** The requests of a batch by their state. */
export interface MessageBatchRequestCounts {
  processing: number;
  succeeded: number;
  errored: number;
  canceled: number;
  expired: number;
}

/** The message that answers a request, as it is encoded. */
export interface MessageBatchSucceededResult {
  type: "succeeded";
  message: Message;
}

/** The body of `POST /v1/messages/count_tokens`: the parameters that make a prompt. */
export interface MessageCountTokensParams {
  model: string;
  tool_choice?: ToolChoice | undefined;
  tools?: ToolUnion[] | undefined;
  messages: MessageParam[];
  system?: string | ContentBlockParam[] | undefined;
  thinking?: ThinkingConfigParam | undefined;
  output_config?: OutputConfigParam | undefined;
  cache_control?: CacheControlEphemeral | null | undefined;
  speed?: "fast" | "standard" | null | undefined;
  context_management?: object | null | undefined;
}

/** The body of `POST /v1/messages`: a prompt, and how the answer is made. */
export interface MessageCreateBody {
  model: string;
  tool_choice?: ToolChoice | undefined;
  tools?: ToolUnion[] | undefined;
  messages: MessageParam[];
  system?: string | ContentBlockParam[] | undefined;
  thinking?: ThinkingConfigParam | undefined;
  output_config?: OutputConfigParam | undefined;
  cache_control?: CacheControlEphemeral | null | undefined;
  speed?: "fast" | "standard" | null | undefined;
  context_management?: object | null | undefined;
  max_tokens: number;
  metadata?: MetadataParam | null | undefined;
  stop_sequences?: string[] | null | undefined;
  temperature?: number | undefined;
  service_tier?: "auto" | "standard_only" | undefined;
  top_k?: number | undefined;
  top_p?: number | undefined;
  stream?: boolean | undefined;
  container?: string | ContainerParams | null | undefined;
  inference_geo?: string | null | undefined;
  diagnostics?: DiagnosticsParam | null | undefined;
}

export interface MessageDeltaEvent {
  type: "message_delta";
  delta: MessageEnding;
  usage: MessageDeltaUsage;
}

/** Cumulative counters, without those that only `message_start` has. */
export interface MessageDeltaUsage {
  input_tokens: number;
  cache_creation_input_tokens: number;
  cache_read_input_tokens: number;
  output_tokens: number;
  output_tokens_details: OutputTokensDetails;
  server_tool_use: ServerToolUsage | null;
}

/** Why the message ended. */
export interface MessageEnding {
  stop_reason: StopReason;
  stop_sequence: string | null;
  stop_details: RefusalDetails | null;
}

/** One message of a conversation. */
export interface MessageParam {
  role: "assistant" | "system" | "user";
  content: string | ContentBlockParam[];
  clear_at?: "never" | "next_user_message" | null | undefined;
  output_config?: TurnOutputParam | null | undefined;
}

export interface MessageStartEvent {
  type: "message_start";
  message: Message;
}

export interface MessageStopEvent {
  type: "message_stop";
}

/** The number of tokens of a prompt. */
export interface MessageTokensCount {
  input_tokens: number;
}

/** Facts about the request that have no influence on the answer. */
export interface MetadataParam {
  user_id?: string | null | undefined;
}

/** The capabilities of a model. */
export interface ModelCapabilities {
  batch: Supported;
  citations: Supported;
  code_execution: Supported;
  image_input: Supported;
  pdf_input: Supported;
  structured_outputs: Supported;
  context_management: ContextManagement;
  effort: EffortCapability;
  thinking: ThinkingCapability;
  server_tools: ServerTools;
}

/** The models that share their limits. */
export interface ModelGroup {
  type: "model_group";
  id: string;
  display_name: string;
}

/** One model. */
export interface ModelInfo {
  type: "model";
  id: string;
  display_name: string;
  created_at: string;
  max_input_tokens: number | null;
  max_tokens: number | null;
  lifecycle: Known<"active">;
  deprecated_at: null;
  retires_at: null;
  line: null;
  capabilities: ModelCapabilities | null;
  description?: string | undefined;
}

/** How many interactive requests of a model run, and how many wait for their turn. */
export interface ModelQueue {
  id: string;
  running: number;
  waiting: number;
}

/** A served model as it is set. */
export interface ModelSettings {
  id: string;
  aliases: string[];
  limit_group: string;
  cache_minimum_tokens: number;
  has_price: boolean;
  engines: EngineSettings[];
}

/** A served model as it is now in the process that answers. */
export interface ModelState {
  id: string;
  type: "model_state";
  display_name: string;
  status: Known<"left_out" | "loading" | "ready" | "restarting"> | Known<"failed" | "fetching">;
  context_tokens: number | null;
  max_output_tokens: number | null;
  running: number;
  waiting: number;
  batch_running: number;
  batch_waiting: number;
  engines: Engine[];
  takes_over?: TakeOver | undefined;
}

/** The models of the process that answers, in the order of the settings. */
export interface ModelStates {
  data: ModelState[];
}

/** An amount in cents, exact to the nano-dollar. */
export interface Money {
  amount: string;
  currency: Known<"USD">;
}

/** An object, with its present name; `None` if it is gone. */
export interface Named {
  id: string;
  name: string | null;
}

/** A tool of the request. */
export interface NamedTool {
  type: "tool_reference";
  name: string;
}

/** A limit of a workspace or a key, beside the organization's. */
export interface NarrowerLimitValue {
  type: string;
  value: number;
  org_limit: number | null;
  source: LimitSource;
}

/** Nothing counts. */
export interface NoSources {
  type: "none";
}

/** Results of these tools count. */
export interface OnlySources {
  type: "only";
  tools: NamedTool[];
}

/** The organization that an admin key belongs to. */
export interface OrganizationInfo {
  id: string;
  type: "organization";
  name: string;
}

/** A key that chooses its workspace by `anthropic-workspace-id`. */
export interface OrganizationKeyScope {
  type: "organization";
}

/** A key of the organization. */
export interface OrganizationKeyScopeParam {
  type: "organization";
}

/** The whole organization. */
export interface OrganizationSpendScope {
  type: "organization";
}

/** Options of the answer. */
export interface OutputConfigParam {
  effort?: "high" | "low" | "max" | "medium" | "xhigh" | null | undefined;
  format?: FormatParam | null | undefined;
}

/** The part of `output_tokens` that was thinking. */
export interface OutputTokensDetails {
  thinking_tokens: number;
}

/** Pages of a PDF. */
export interface PageLocation {
  type: "page_location";
  cited_text: string;
  document_index: number;
  document_title: string | null;
  start_page_number: number;
  end_page_number: number;
  file_id: string | null;
}

export interface PageLocationParam {
  type: "page_location";
  cited_text: string;
  document_index: number;
  document_title: string | null;
  start_page_number: number;
  end_page_number: number;
  file_id?: string | null | undefined;
}

/** A fetched PDF. */
export interface PdfSourceBlock {
  type: "base64";
  media_type: "application/pdf";
  data: string;
}

export interface PingEvent {
  type: "ping";
}

/** A plain text inside the request. */
export interface PlainTextSource {
  type: "text";
  media_type: "text/plain";
  data: string;
}

/** The prompt cache as it is now: the sums of its entries, and each model. */
export interface PromptCache {
  type: "prompt_cache";
  entries: number;
  tokens: number;
  snapshot_bytes: number;
  less_cached_than_planned: Record<string, number> | null;
  models: CachedModel[];
}

export interface PromptCacheBucket {
  starting_at: string;
  ending_at: string;
  results: CacheReportResult[];
}

/** One page of buckets, the oldest first; `next_page` leads to those after them. */
export interface PromptCacheReport {
  data: PromptCacheBucket[];
  has_more: boolean;
  next_page: string | null;
}

/** How much of a rate limit is used now. */
export interface RateLevel {
  type: "rate_limit_level";
  rate_limit_id: string;
  group: ModelGroup | TokenCountGroup | BatchGroup | FilesGroup;
  scope: Record<string, unknown>;
  limit_type: string;
  limit: number;
  used: number;
  remaining: number;
  full_at: string | null;
}

/** The organization's limits for one group. */
export interface RateLimit {
  type: "rate_limit";
  id: string;
  group: ModelGroup | TokenCountGroup | BatchGroup | FilesGroup;
  models: string[] | null;
  limits: LimitValue[];
}

/** A rate limit: of one type, for one group, of one scope. */
export interface RateLimitTarget {
  type: "rate_limit";
  scope: OrganizationSpendScope | WorkspaceSpendScope | KeySpendScope;
  rate_limit_id: string;
  limit_type:
    | "input_tokens_per_minute_cache_aware"
    | "output_tokens_per_minute"
    | "requests_per_minute";
}

/** Thinking that the caller cannot read, to be sent back unchanged. */
export interface RedactedThinkingBlock {
  type: "redacted_thinking";
  data: string;
}

/** Thinking that the caller cannot read, sent back unchanged. */
export interface RedactedThinkingBlockParam {
  type: "redacted_thinking";
  data: string;
}

/** The reason of a refusal, as far as the server of the model states it. */
export interface RefusalDetails {
  type: "refusal";
  category: string | null;
  explanation: string | null;
}

/** The sentence that says why not. */
export interface RefuseIncreaseParams {
  answer: string;
}

/** The limit that refused a request. */
export interface RefusedBy {
  kind: string;
  limit: string | number | null;
  scope: string | null;
  scope_id: string | null;
  type: string | null;
  held: boolean;
  retry_after_ms: number | null;
  buckets: Bucket[];
}

/** One line of a bill: so many tokens at so many dollars a million, in cents. */
export interface RequestCost {
  token_type: string;
  tokens: number;
  dollars_per_million: string | null;
  amount: string;
}

/** A request, and why it went as it did, as far as it is recorded. */
export interface RequestExplanation {
  id: string;
  type: "request";
  ended_at: string;
  route: string;
  status: number;
  error_type: string | null;
  api_key_id: string | null;
  workspace_id: string | null;
  model: string | null;
  served_model: string | null;
  streamed: boolean;
  batch_id: string | null;
  account_id: string | null;
  latency: RequestLatency;
  usage: RequestUsage;
  cost: Money | null;
  recorded: boolean;
  api_key: Named | null;
  workspace: Named | null;
  account: Named | null;
  engines: string[];
  engine: string | null;
  engine_number: number | null;
  refused_by: RefusedBy | null;
  cache: CacheUse | null;
  costs: RequestCost[];
}

/** Milliseconds: the whole request, and of it the waits, the prompt, the answer. */
export interface RequestLatency {
  total_ms: number;
  queue_ms: number | null;
  money_ms: number | null;
  parked_ms: number | null;
  prefill_ms: number | null;
  decode_ms: number | null;
}

/** One finished request. */
export interface RequestRecord {
  id: string;
  type: "request";
  ended_at: string;
  route: string;
  status: number;
  error_type: string | null;
  api_key_id: string | null;
  workspace_id: string | null;
  model: string | null;
  served_model: string | null;
  streamed: boolean;
  batch_id: string | null;
  account_id: string | null;
  latency: RequestLatency;
  usage: RequestUsage;
  cost: Money | null;
}

/** The tokens that are billed; `thinking_tokens` are a part of `output_tokens`. */
export interface RequestUsage {
  input_tokens: number;
  cache_creation: CacheCreation;
  cache_read_input_tokens: number;
  output_tokens: number;
  thinking_tokens: number;
}

/** For how many days a thing is kept; `None` is for ever. */
export interface Retention {
  name: string;
  days: number | null;
}

/** A request that is running: what is known of it before its end. */
export interface RunningRequest {
  id: string;
  type: "running_request";
  started_at: string;
  first_token_at: string | null;
  api_key_id: string | null;
  account_id: string | null;
  workspace_id: string | null;
  model: string;
  served_model: string;
  batch_id: string | null;
  input_tokens: number;
  output_tokens: number;
  is_parked: boolean;
}

/** What runs in the process that answers: `total` requests, the longest running first. */
export interface RunningRequests {
  data: RunningRequest[];
  total: number;
  models: ModelQueue[];
}

/** A search result that the answer may cite. */
export interface SearchResultBlockParam {
  type: "search_result";
  cache_control?: CacheControlEphemeral | null | undefined;
  source: string;
  title: string;
  content: Array<TextBlockParam | ImageBlockParam>;
  citations?: CitationsParam | null | undefined;
}

/** Blocks of a search result. */
export interface SearchResultLocation {
  type: "search_result_location";
  cited_text: string;
  source: string;
  title: string | null;
  search_result_index: number;
  start_block_index: number;
  end_block_index: number;
}

export interface SearchResultLocationParam {
  type: "search_result_location";
  cited_text: string;
  source: string;
  title: string | null;
  search_result_index: number;
  start_block_index: number;
  end_block_index: number;
}

/** What a server runs with. */
export interface ServerSettings {
  type: "server_settings";
  version: string;
  python: string;
  system: string;
  database: Database;
  data_folder: DataFolder;
  counters: Counters;
  backup: Backup;
  retention: Retention[];
  settings: Setting[];
  models: ModelSettings[];
}

/** How often tools of the server ran that are counted apart; searches of tools are not. */
export interface ServerToolUsage {
  web_search_requests: number;
  web_fetch_requests: number;
}

/** Uses of the server's own tools. */
export interface ServerToolUse {
  web_search_requests: number;
}

/** A call of a tool that this server runs. */
export interface ServerToolUseBlock {
  type: "server_tool_use";
  id: string;
  name: string;
  input: Record<string, unknown>;
  caller: DirectCaller;
}

/** A call of a tool of the server in an earlier turn. */
export interface ServerToolUseBlockParam {
  type: "server_tool_use";
  cache_control?: CacheControlEphemeral | null | undefined;
  id: string;
  name: string;
  input: object;
  caller?: object | null | undefined;
}

export interface ServerTools {
  supported: boolean;
  web_search: Supported;
  code_execution: Supported;
}

export interface SetLimitsParams {
  limits: LimitParam[];
}

/** One setting. */
export interface Setting {
  name: string;
  value: boolean | number | string | string[] | null;
  default: boolean | number | string | string[] | null;
  is_set: boolean;
  is_secret: boolean;
  source: Known<"default" | "environment" | "file" | "flag">;
  place: string | null;
  text: string;
  file_line: string;
  variable_line: string | null;
}

/** The whole signature, in one event just before the block ends. */
export interface SignatureDelta {
  type: "signature_delta";
  signature: string;
}

/** A skill of a container. */
export interface SkillParam {
  type: "anthropic" | "custom";
  skill_id: string;
  version?: string | null | undefined;
}

/** A member. */
export interface SpendActor {
  type: "user_actor";
  user_id: string;
  name: string | null;
  email_address: string | null;
  deleted: boolean;
}

/** A spend limit. */
export interface SpendLimit {
  id: string;
  type: "spend_limit";
  scope: Record<string, unknown>;
  amount: string;
  currency: Known<"USD">;
  period: Known<"daily" | "monthly" | "weekly">;
  is_enabled: boolean;
  created_at: string;
  updated_at: string;
}

/** A spend limit: of one scope in one period. */
export interface SpendLimitTarget {
  type: "spend_limit";
  scope: OrganizationSpendScope | WorkspaceSpendScope | KeySpendScope;
  period: "daily" | "monthly" | "weekly";
}

/** A limit that applies to a member in a period, and the member's spending; in cents. */
export interface SpendSummary {
  actor: SpendActor;
  scope: Record<string, string>;
  source: Record<string, string>;
  spend_limit_id: string;
  amount: string | null;
  currency: Known<"USD">;
  period: Known<"daily" | "monthly" | "weekly">;
  period_to_date_spend: string;
}

/** Thinking that cannot be read. */
export interface StartedRedactedThinking {
  type: "redacted_thinking";
  data: string;
}

/** A call of a tool that this server runs, before the first piece of its input. */
export interface StartedServerToolUse {
  type: "server_tool_use";
  id: string;
  name: string;
  input: Record<string, unknown>;
  caller: DirectCaller;
}

/** A text block before its first delta, as empty as the block of an answer without citations. */
export interface StartedText {
  type: "text";
  text: string;
  citations: TextCitation[];
}

/** A thinking block before its first delta. */
export interface StartedThinking {
  type: "thinking";
  thinking: string;
  signature: string;
}

/** A call before the first piece of its input. */
export interface StartedToolUse {
  type: "tool_use";
  id: string;
  name: string;
  input: Record<string, unknown>;
  caller: DirectCaller;
}

/** A leaf of the capabilities. */
export interface Supported {
  supported: boolean;
}

/** How a model takes over the names of the model `of` that answers until then. */
export interface TakeOver {
  of: string;
  fetched_bytes: number;
  total_bytes: number | null;
  reason: string | null;
}

/** A text block of an answer, with citations if it repeats a document. */
export interface TextBlock {
  type: "text";
  text: string;
  citations: TextCitation[] | null;
}

/** A text block of a request. */
export interface TextBlockParam {
  type: "text";
  cache_control?: CacheControlEphemeral | null | undefined;
  text: string;
  citations?: TextCitationParam[] | null | undefined;
}

export interface TextDelta {
  type: "text_delta";
  text: string;
}

/** A fetched page as text. */
export interface TextSourceBlock {
  type: "text";
  media_type: "text/plain";
  data: string;
}

/** Thinking of the model; the signature proves that this server made it. */
export interface ThinkingBlock {
  type: "thinking";
  thinking: string;
  signature: string;
}

/** Thinking of an earlier turn, sent back unchanged. */
export interface ThinkingBlockParam {
  type: "thinking";
  thinking: string;
  signature: string;
}

export interface ThinkingCapability {
  supported: boolean;
  types: ThinkingTypes;
}

/** Think as much as the question needs. */
export interface ThinkingConfigAdaptive {
  type: "adaptive";
  display?: "omitted" | "summarized" | "updates" | null | undefined;
}

/** Think only between the calls of tools. */
export interface ThinkingConfigBetweenTools {
  type: "between_tools";
}

/** Do not think. */
export interface ThinkingConfigDisabled {
  type: "disabled";
}

/** Think, with at most `budget_tokens`. */
export interface ThinkingConfigEnabled {
  type: "enabled";
  budget_tokens: number;
  display?: "omitted" | "summarized" | "updates" | null | undefined;
}

export interface ThinkingDelta {
  type: "thinking_delta";
  thinking: string;
}

export interface ThinkingTypes {
  adaptive: Supported;
  between_tools: Supported;
  disabled: Supported;
  enabled: Supported;
}

/** The counting of tokens. */
export interface TokenCountGroup {
  type: "token_count";
  id: string;
}

/** A tool that the caller defines. */
export interface Tool {
  type?: "custom" | null | undefined;
  name: string;
  input_schema: object;
  description?: string | null | undefined;
  strict?: boolean | null | undefined;
  eager_input_streaming?: boolean | null | undefined;
  input_examples?: object[] | null | undefined;
  defer_loading?: boolean | null | undefined;
  allowed_callers?: Array<"code_execution_20250825" | "code_execution_20260120" | "code_execution_20260521" | "direct"> | null | undefined;
  cache_control?: CacheControlEphemeral | null | undefined;
}

/** From here on the model may call the tool; a definition replaces the one of its name. */
export interface ToolAdditionBlockParam {
  type: "tool_addition";
  cache_control?: CacheControlEphemeral | null | undefined;
  tool: ToolNameParam | ToolDefinitionParam;
}

/** The model must call a tool. */
export interface ToolChoiceAny {
  type: "any";
  disable_parallel_tool_use?: boolean | undefined;
}

/** The model may call tools or answer. */
export interface ToolChoiceAuto {
  type: "auto";
  disable_parallel_tool_use?: boolean | undefined;
}

/** The model must not call tools. */
export interface ToolChoiceNone {
  type: "none";
}

/** The model must call the named tool. */
export interface ToolChoiceTool {
  type: "tool";
  name: string;
  disable_parallel_tool_use?: boolean | undefined;
}

/** The tool of an addition, defined there as in `tools`. */
export interface ToolDefinitionParam {
  type: "tool_definition";
  definition: ToolUnion;
}

/** The tool of a change: one of `tools`, or one that an earlier message defines. */
export interface ToolNameParam {
  type: "tool_reference";
  name: string;
}

/** A tool that a search has found. */
export interface ToolReferenceBlock {
  type: "tool_reference";
  tool_name: string;
}

/** A tool that a search has found, of this server or the caller's own. */
export interface ToolReferenceBlockParam {
  type: "tool_reference";
  cache_control?: CacheControlEphemeral | null | undefined;
  tool_name: string;
}

/** From here on the model may not call the tool. */
export interface ToolRemovalBlockParam {
  type: "tool_removal";
  cache_control?: CacheControlEphemeral | null | undefined;
  tool: ToolNameParam;
}

/** The result of a call. */
export interface ToolResultBlockParam {
  type: "tool_result";
  cache_control?: CacheControlEphemeral | null | undefined;
  tool_use_id: string;
  content?: string | ToolResultContentParam[] | null | undefined;
  is_error?: boolean | null | undefined;
  toolset_name?: string | null | undefined;
}

/** Why a search of tools did not run. */
export interface ToolSearchErrorBlock {
  type: "tool_search_tool_result_error";
  error_code: Known<"execution_time_exceeded" | "invalid_tool_input" | "too_many_requests" | "unavailable">;
  error_message: string | null;
}

/** Why a search of tools did not run in an earlier turn. */
export interface ToolSearchErrorParam {
  type: "tool_search_tool_result_error";
  error_code: string;
  error_message?: string | null | undefined;
}

/** What a search of tools has found; nothing is no error. */
export interface ToolSearchResultBlock {
  type: "tool_search_tool_search_result";
  tool_references: ToolReferenceBlock[];
}

/** What a search of tools found in an earlier turn. */
export interface ToolSearchResultParam {
  type: "tool_search_tool_search_result";
  tool_references: ToolReferenceBlockParam[];
}

/** A tool of this server: a search among the tools with `defer_loading`. */
export interface ToolSearchTool {
  type: string;
  name: string;
  strict?: boolean | null | undefined;
  defer_loading?: boolean | null | undefined;
  allowed_callers?: Array<"code_execution_20250825" | "code_execution_20260120" | "code_execution_20260521" | "direct"> | null | undefined;
  cache_control?: CacheControlEphemeral | null | undefined;
}

/** The result of a search of tools. */
export interface ToolSearchToolResultBlock {
  type: "tool_search_tool_result";
  tool_use_id: string;
  content: ToolSearchResultBlock | ToolSearchErrorBlock;
}

/** The result of a search of tools by the server. */
export interface ToolSearchToolResultBlockParam {
  type: "tool_search_tool_result";
  cache_control?: CacheControlEphemeral | null | undefined;
  tool_use_id: string;
  content: ToolSearchResultParam | ToolSearchErrorParam;
  caller?: object | null | undefined;
}

/** A call of a tool; the caller runs it. */
export interface ToolUseBlock {
  type: "tool_use";
  id: string;
  name: string;
  input: Record<string, unknown>;
  caller: DirectCaller;
}

/** A call that the model made in an earlier turn. */
export interface ToolUseBlockParam {
  type: "tool_use";
  cache_control?: CacheControlEphemeral | null | undefined;
  id: string;
  name: string;
  input: object;
  caller?: object | null | undefined;
  toolset_name?: string | null | undefined;
}

/** Options of a system message for the turns that follow it. */
export interface TurnOutputParam {
  effort?: "high" | "low" | "max" | "medium" | "xhigh" | null | undefined;
}

export interface UpdateMemberParams {
  workspace_role:
    | "workspace_admin"
    | "workspace_developer"
    | "workspace_restricted_developer"
    | "workspace_user";
}

export interface UpdateSpendLimitParams {
  amount: string;
}

export interface UpdateUserParams {
  role: "billing" | "claude_code_user" | "developer" | "managed" | "user";
}

/** Changes of a workspace. */
export interface UpdateWorkspaceParams {
  name?: string | undefined;
  display_color?: string | undefined;
  data_residency?: DataResidencyParam | null | undefined;
  tags?: object | null | undefined;
  external_key_id?: string | null | undefined;
  user_profile_id?: string | null | undefined;
}

/** Bytes behind a URL. */
export interface UrlSource {
  type: "url";
  url: string;
}

/** Where a URL must stand to be fetched. */
export interface UrlSourcesParam {
  user_input?: AllSources | NoSources | undefined;
  client_tool_results?: AllSources | NoSources | OnlySources | ExceptSources | undefined;
  server_tool_results?: AllSources | NoSources | OnlySources | ExceptSources | undefined;
}

/** The tokens of a request. */
export interface Usage {
  input_tokens: number;
  cache_creation_input_tokens: number;
  cache_read_input_tokens: number;
  cache_creation: CacheCreation;
  output_tokens: number;
  output_tokens_details: OutputTokensDetails;
  server_tool_use: ServerToolUsage | null;
  service_tier: Known<"batch" | "standard">;
  inference_geo: Known<"not_available">;
}

export interface UsageBucket {
  starting_at: string;
  ending_at: string;
  results: UsageResult[];
}

/** One page of buckets, the oldest first; `next_page` leads to those after them. */
export interface UsageReport {
  data: UsageBucket[];
  has_more: boolean;
  next_page: string | null;
}

/** The tokens of a bucket. */
export interface UsageResult {
  uncached_input_tokens: number;
  cache_read_input_tokens: number;
  cache_creation: CacheCreation;
  output_tokens: number;
  server_tool_use: ServerToolUse;
  api_key_id: string | null;
  workspace_id: string | null;
  model: string | null;
  service_tier: string | null;
  context_window: string | null;
  inference_geo: string | null;
  account_id: string | null;
  service_account_id: string | null;
  speed?: string | undefined;
}

/** A user of the organization. */
export interface User {
  id: string;
  type: "user";
  email: string;
  name: string;
  role: "admin" | "billing" | "claude_code_user" | "developer" | "managed" | "user";
  added_at: string;
}

/** About where the user is, for results that suit. */
export interface UserLocation {
  type: "approximate";
  city?: string | null | undefined;
  region?: string | null | undefined;
  country?: string | null | undefined;
  timezone?: string | null | undefined;
}

/** The name of a user, without the address. */
export interface UserName {
  id: string;
  type: "user_name";
  name: string;
}

/** How many sessions of a user have ended. */
export interface UserSignedOut {
  id: string;
  type: "user_signed_out";
  sessions: number;
}

/** Why nothing was fetched. */
export interface WebFetchErrorBlock {
  type: "web_fetch_tool_result_error";
  error_code: Known<"content_too_large" | "invalid_tool_input" | "max_uses_exceeded" | "too_many_requests" | "unavailable" | "unsupported_content_type" | "url_not_accessible" | "url_not_allowed" | "url_not_in_prior_context" | "url_too_long">;
}

/** Why nothing was fetched in an earlier turn. */
export interface WebFetchErrorParam {
  type: "web_fetch_tool_result_error";
  error_code: string;
}

/** A page that was fetched, and when. */
export interface WebFetchResultBlock {
  type: "web_fetch_result";
  url: string;
  content: DocumentBlock;
  retrieved_at: string | null;
}

/** A page that was fetched in an earlier turn. */
export interface WebFetchResultParam {
  type: "web_fetch_result";
  url: string;
  content: DocumentBlockParam;
  retrieved_at?: string | null | undefined;
}

/** A tool of this server: it fetches a page of the web. */
export interface WebFetchTool {
  type: string;
  name: string;
  strict?: boolean | null | undefined;
  defer_loading?: boolean | null | undefined;
  allowed_callers?: Array<"code_execution_20250825" | "code_execution_20260120" | "code_execution_20260521" | "direct"> | null | undefined;
  cache_control?: CacheControlEphemeral | null | undefined;
  allowed_domains?: string[] | null | undefined;
  blocked_domains?: string[] | null | undefined;
  max_uses?: number | null | undefined;
  max_content_tokens?: number | null | undefined;
  citations?: FetchCitations | null | undefined;
  url_sources?: UrlSourcesParam | null | undefined;
}

/** The result of a fetch. */
export interface WebFetchToolResultBlock {
  type: "web_fetch_tool_result";
  tool_use_id: string;
  content: WebFetchResultBlock | WebFetchErrorBlock;
  caller: DirectCaller;
}

/** The result of a fetch by the server. */
export interface WebFetchToolResultBlockParam {
  type: "web_fetch_tool_result";
  cache_control?: CacheControlEphemeral | null | undefined;
  tool_use_id: string;
  content: WebFetchResultParam | WebFetchErrorParam;
  caller?: object | null | undefined;
}

/** Why the web was not searched. */
export interface WebSearchErrorBlock {
  type: "web_search_tool_result_error";
  error_code: Known<"invalid_tool_input" | "max_uses_exceeded" | "query_too_long" | "request_too_large" | "too_many_requests" | "unavailable">;
}

/** Why the web was not searched in an earlier turn. */
export interface WebSearchErrorParam {
  type: "web_search_tool_result_error";
  error_code: string;
}

/** One result of a web search. */
export interface WebSearchResultBlock {
  type: "web_search_result";
  url: string;
  title: string;
  encrypted_content: string;
  page_age: string | null;
}

/** A result of a web search. */
export interface WebSearchResultLocation {
  type: "web_search_result_location";
  cited_text: string;
  url: string;
  title: string | null;
  encrypted_index: string;
}

/** A result of a web search, of this server or another. */
export interface WebSearchResultLocationParam {
  type: "web_search_result_location";
  cited_text: string;
  url: string;
  title: string | null;
  encrypted_index: string;
}

/** One result of a web search of an earlier turn, with its sealed text. */
export interface WebSearchResultParam {
  type: "web_search_result";
  url: string;
  title: string;
  encrypted_content: string;
  page_age?: string | null | undefined;
}

/** A tool of this server: a search of the web. */
export interface WebSearchTool {
  type: string;
  name: string;
  strict?: boolean | null | undefined;
  defer_loading?: boolean | null | undefined;
  allowed_callers?: Array<"code_execution_20250825" | "code_execution_20260120" | "code_execution_20260521" | "direct"> | null | undefined;
  cache_control?: CacheControlEphemeral | null | undefined;
  allowed_domains?: string[] | null | undefined;
  blocked_domains?: string[] | null | undefined;
  max_uses?: number | null | undefined;
  user_location?: UserLocation | null | undefined;
}

/** The result of a web search. */
export interface WebSearchToolResultBlock {
  type: "web_search_tool_result";
  tool_use_id: string;
  content: WebSearchResultBlock[] | WebSearchErrorBlock;
  caller: DirectCaller;
}

/** The result of a web search by the server. */
export interface WebSearchToolResultBlockParam {
  type: "web_search_tool_result";
  cache_control?: CacheControlEphemeral | null | undefined;
  tool_use_id: string;
  content: WebSearchResultParam[] | WebSearchErrorParam;
  caller?: object | null | undefined;
}

/** A workspace. */
export interface Workspace {
  id: string;
  type: "workspace";
  name: string;
  display_color: string;
  created_at: string;
  archived_at: string | null;
  compartment_id: string;
  data_residency: DataResidency;
  tags: Record<string, string>;
  external_key_id: null;
  user_profile_id: null;
}

/** A key of one workspace. */
export interface WorkspaceKeyScope {
  type: "workspace";
  workspace_id: string;
}

/** A key of a workspace. */
export interface WorkspaceKeyScopeParam {
  type: "workspace";
  workspace_id: string;
}

/** The membership of a user in a workspace. */
export interface WorkspaceMember {
  type: "workspace_member";
  user_id: string;
  workspace_id: string;
  workspace_role: Known<"workspace_admin" | "workspace_developer" | "workspace_restricted_developer" | "workspace_user">;
}

/** A workspace's limits for one group. */
export interface WorkspaceRateLimit {
  type: "workspace_rate_limit";
  rate_limit_id: string;
  workspace_id: string;
  group: ModelGroup | TokenCountGroup | BatchGroup | FilesGroup;
  models: string[] | null;
  limits: NarrowerLimitValue[];
}

/** One workspace. */
export interface WorkspaceSpendScope {
  type: "workspace";
  workspace_id: string;
}

/** The query of `GET /v1/messages/batches`. */
export interface MessagesBatchesQuery {
  limit?: number | undefined;
  after_id?: string | undefined;
  before_id?: string | undefined;
  processing_status?: string | undefined;
  order?: string | undefined;
  starting_at?: Date | string | undefined;
  ending_at?: Date | string | undefined;
}

/** The query of `GET /v1/files`. */
export interface FilesQuery {
  limit?: number | undefined;
  page?: string | undefined;
  after_id?: string | undefined;
  before_id?: string | undefined;
  ids?: string[] | undefined;
  scope_id?: string | undefined;
}

/** The query of `GET /v1/models`. */
export interface ModelsQuery {
  limit?: number | undefined;
  after_id?: string | undefined;
  before_id?: string | undefined;
}

/** The query of `GET /v1/organizations/users`. */
export interface UsersQuery {
  limit?: number | undefined;
  after_id?: string | undefined;
  before_id?: string | undefined;
  order_by?: string | undefined;
  order?: string | undefined;
  ids?: string[] | undefined;
  contains?: string | undefined;
  starting_at?: Date | string | undefined;
  ending_at?: Date | string | undefined;
  email?: string | undefined;
  roles?: string[] | undefined;
}

/** The query of `GET /v1/organizations/user_names`. */
export interface UserNamesQuery {
  limit?: number | undefined;
  after_id?: string | undefined;
  before_id?: string | undefined;
  ids?: string[] | undefined;
  contains?: string | undefined;
}

/** The query of `GET /v1/organizations/invites`. */
export interface InvitesQuery {
  limit?: number | undefined;
  after_id?: string | undefined;
  before_id?: string | undefined;
  order_by?: string | undefined;
  order?: string | undefined;
  ids?: string[] | undefined;
  contains?: string | undefined;
  starting_at?: Date | string | undefined;
  ending_at?: Date | string | undefined;
  email?: string | undefined;
  roles?: string[] | undefined;
  statuses?: string[] | undefined;
}

/** The query of `GET /v1/organizations/audit_log`. */
export interface AuditLogQuery {
  limit?: number | undefined;
  page?: string | undefined;
  order?: string | undefined;
  object_id?: string | undefined;
  actor_id?: string | undefined;
  action?: string | undefined;
  starting_at?: Date | string | undefined;
  ending_at?: Date | string | undefined;
}

/** The query of `GET /v1/organizations/workspaces`. */
export interface WorkspacesQuery {
  limit?: number | undefined;
  after_id?: string | undefined;
  before_id?: string | undefined;
  order_by?: string | undefined;
  order?: string | undefined;
  ids?: string[] | undefined;
  contains?: string | undefined;
  starting_at?: Date | string | undefined;
  ending_at?: Date | string | undefined;
  include_archived?: boolean | undefined;
  include_default?: boolean | undefined;
}

/** The query of `GET /v1/organizations/workspaces/{workspace}/members`. */
export interface WorkspacesMembersQuery {
  limit?: number | undefined;
  after_id?: string | undefined;
  before_id?: string | undefined;
  order_by?: string | undefined;
  order?: string | undefined;
  ids?: string[] | undefined;
  contains?: string | undefined;
  starting_at?: Date | string | undefined;
  ending_at?: Date | string | undefined;
}

/** The query of `GET /v1/organizations/api_keys`. */
export interface ApiKeysQuery {
  limit?: number | undefined;
  after_id?: string | undefined;
  before_id?: string | undefined;
  order_by?: string | undefined;
  order?: string | undefined;
  ids?: string[] | undefined;
  contains?: string | undefined;
  starting_at?: Date | string | undefined;
  ending_at?: Date | string | undefined;
  status?: string | undefined;
  workspace_id?: string | undefined;
  created_by_user_id?: string | undefined;
}

/** The query of `GET /v1/organizations/rate_limits`. */
export interface RateLimitsQuery {
  limit?: number | undefined;
  page?: string | undefined;
  group_type?: string | undefined;
  model?: string | undefined;
}

/** The query of `GET /v1/organizations/rate_limit_levels`. */
export interface RateLimitLevelsQuery {
  limit?: number | undefined;
  page?: string | undefined;
  scope?: string | undefined;
}

/** The query of `GET /v1/organizations/workspaces/{workspace}/rate_limits`. */
export interface WorkspacesRateLimitsQuery {
  limit?: number | undefined;
  page?: string | undefined;
  group_type?: string | undefined;
  include_inherited?: boolean | undefined;
}

/** The query of `GET /v1/organizations/api_keys/{key}/rate_limits`. */
export interface ApiKeysRateLimitsQuery {
  limit?: number | undefined;
  page?: string | undefined;
}

/** The query of `GET /v1/organizations/spend_limits`. */
export interface SpendLimitsQuery {
  limit?: number | undefined;
  page?: string | undefined;
  scope_type?: string[] | undefined;
  workspace_id?: string | undefined;
}

/** The query of `GET /v1/organizations/spend_limits/effective`. */
export interface SpendLimitsEffectiveQuery {
  limit?: number | undefined;
  page?: string | undefined;
  period?: string[] | undefined;
  user_ids?: string[] | undefined;
}

/** The query of `GET /v1/organizations/balances`. */
export interface BalancesQuery {
  limit?: number | undefined;
  page?: string | undefined;
  scope?: string | undefined;
  used?: string | undefined;
}

/** The query of `GET /v1/organizations/limit_increase_requests`. */
export interface LimitIncreaseRequestsQuery {
  limit?: number | undefined;
  page?: string | undefined;
  statuses?: string[] | undefined;
}

/** The query of `GET /v1/organizations/usage_report/messages`. */
export interface UsageReportMessagesQuery {
  starting_at?: Date | string | undefined;
  ending_at?: Date | string | undefined;
  bucket_width?: string | undefined;
  limit?: number | undefined;
  page?: string | undefined;
  group_by?: string[] | undefined;
  models?: string[] | undefined;
  api_key_ids?: string[] | undefined;
  workspace_ids?: string[] | undefined;
  account_ids?: string[] | undefined;
  service_account_ids?: string[] | undefined;
  service_tiers?: string[] | undefined;
  context_window?: string[] | undefined;
  inference_geos?: string[] | undefined;
  speeds?: string[] | undefined;
}

/** The query of `GET /v1/organizations/cost_report`. */
export interface CostReportQuery {
  starting_at?: Date | string | undefined;
  ending_at?: Date | string | undefined;
  bucket_width?: string | undefined;
  limit?: number | undefined;
  page?: string | undefined;
  group_by?: string[] | undefined;
}

/** The query of `GET /v1/organizations/prompt_cache/entries`. */
export interface PromptCacheEntriesQuery {
  limit?: number | undefined;
  page?: string | undefined;
  model?: string | undefined;
  workspace_id?: string | undefined;
}

/** The query of `GET /v1/organizations/prompt_cache/report`. */
export interface PromptCacheReportQuery {
  starting_at?: Date | string | undefined;
  ending_at?: Date | string | undefined;
  bucket_width?: string | undefined;
  limit?: number | undefined;
  page?: string | undefined;
  group_by?: string[] | undefined;
  models?: string[] | undefined;
  workspace_ids?: string[] | undefined;
}

/** The query of `GET /v1/organizations/file_storage`. */
export interface FileStorageQuery {
  workspace_id?: string | undefined;
}

/** The query of `GET /v1/organizations/requests`. */
export interface RequestsQuery {
  limit?: number | undefined;
  page?: string | undefined;
  error_type?: string | undefined;
  api_key_id?: string | undefined;
  model?: string | undefined;
  workspace_id?: string | undefined;
  status_class?: string | undefined;
  starting_at?: Date | string | undefined;
  ending_at?: Date | string | undefined;
}

/** The query of `GET /v1/organizations/activity`. */
export interface ActivityQuery {
  starting_at?: Date | string | undefined;
  ending_at?: Date | string | undefined;
  bucket_width?: string | undefined;
  limit?: number | undefined;
  page?: string | undefined;
  group_by?: string[] | undefined;
  api_key_ids?: string[] | undefined;
  models?: string[] | undefined;
  workspace_ids?: string[] | undefined;
}
