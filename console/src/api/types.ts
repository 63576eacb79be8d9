// The objects of the API that the Console reads, as docs/reference describes them.

export type Role = "user" | "claude_code_user" | "developer" | "billing" | "managed" | "admin";
export type WorkspaceRole =
  | "workspace_user"
  | "workspace_developer"
  | "workspace_restricted_developer"
  | "workspace_admin";

export interface User {
  id: string;
  type: "user";
  email: string;
  name: string;
  role: Role;
  added_at: string;
}

/** What everybody who works with others sees of a person. */
export interface UserName {
  id: string;
  type: "user_name";
  name: string;
}

export interface OwnWorkspace {
  id: string;
  name: string;
  workspace_role: WorkspaceRole | null;
  is_default: boolean;
}

export interface Session {
  type: "session";
  user: User;
  organization: { id: string; type: "organization"; name: string };
  permissions: string[];
  workspaces: OwnWorkspace[];
  expires_at: string;
  /** The name of the provider at which the session can be ended too. */
  sign_out_of: string | null;
}

export interface ConsoleInfo {
  type: "console";
  version: string;
  setup_needed: boolean;
  /** Whether people sign in by passwords. */
  passwords: boolean;
  oidc: { name: string } | null;
}

/** Where the browser signs in at the provider. */
export interface OidcRequest {
  type: "oidc_request";
  url: string;
}

/** The session has ended; at `url` the browser ends the one at the provider, if that is there. */
export interface OidcSignedOut {
  type: "oidc_signed_out";
  url: string | null;
}

/** By what the signed-in user can sign in. */
export interface Identity {
  type: "identity";
  has_password: boolean;
  linked_at: string | null;
}

/** A page of a listing that is walked by ids. */
export interface Listing<Item> {
  data: Item[];
  has_more: boolean;
  first_id: string | null;
  last_id: string | null;
}

/** A page of a listing that is walked by tokens. */
export interface TokenListing<Item> {
  data: Item[];
  next_page: string | null;
}

export type KeyStatus = "active" | "inactive" | "archived" | "expired";
export type KeyScope =
  | { type: "workspace"; workspace_id: string }
  | { type: "organization" }
  | { type: "admin" };

export interface Key {
  id: string;
  type: "api_key";
  name: string;
  status: KeyStatus;
  created_at: string;
  expires_at: string | null;
  last_used_at: string | null;
  created_by: { id: string; type: string } | null;
  partial_key_hint: string | null;
  scope: KeyScope;
}

export interface KeyWithSecret extends Key {
  secret: string;
}

export interface Workspace {
  id: string;
  type: "workspace";
  name: string;
  display_color: string;
  created_at: string;
  archived_at: string | null;
  tags: Record<string, string>;
}

export interface Model {
  id: string;
  type: "model";
  display_name: string;
  created_at: string;
  max_input_tokens: number | null;
  max_tokens: number | null;
  lifecycle: string;
  capabilities: Record<string, unknown> | null;
}

/** A file that requests name by its id, without its content. */
export interface StoredFile {
  id: string;
  type: "file";
  filename: string;
  mime_type: string;
  size_bytes: number;
  created_at: string;
  downloadable: boolean;
  expires_at: string | null;
}

/** What the files of a workspace take, and what can still be uploaded. */
export interface FileStorage {
  type: "file_storage";
  workspace_id: string;
  used_bytes: number;
  quota_bytes: number | null;
  free_bytes: number;
  largest_file_bytes: number;
  downloadable: boolean;
}

export type EngineStatus = "loading" | "ready" | "restarting" | "left_out";
export type ModelStatus = EngineStatus | "fetching" | "failed";

/** The last error of an engine in a request. */
export interface EngineError {
  at: string;
  kind: string;
}

/** An engine of a model as it is now; what it does not tell is null. */
export interface EngineState {
  number: number;
  engine: string;
  status: EngineStatus;
  running: number;
  waiting: number | null;
  slots: number | null;
  busy_slots: number | null;
  left_out_s: number | null;
  restarts: number | null;
  last_failure: { at: string; reason: string | null } | null;
  last_error: EngineError | null;
  memory: {
    process_bytes: number | null;
    batch_process_bytes: number | null;
    weights_bytes: number | null;
    kv_bytes_per_token: number | null;
    kv_bytes: number | null;
  } | null;
  speed: {
    prefill_tokens_per_second: number | null;
    decode_tokens_per_second: number | null;
    measured_by: "engine" | "server";
  } | null;
}

/** A model as it is now in the server that answers. */
export interface ModelState {
  id: string;
  type: "model_state";
  display_name: string;
  status: ModelStatus;
  context_tokens: number | null;
  max_output_tokens: number | null;
  running: number;
  waiting: number;
  batch_running: number;
  batch_waiting: number;
  engines: EngineState[];
  takes_over?: TakeOver;
}

/** How a model takes over from the one that answers until it is fetched and loaded. */
export interface TakeOver {
  of: string;
  fetched_bytes: number;
  total_bytes: number | null;
  reason: string | null;
}

export interface UsageResult {
  uncached_input_tokens: number;
  cache_read_input_tokens: number;
  cache_creation: { ephemeral_5m_input_tokens: number; ephemeral_1h_input_tokens: number };
  output_tokens: number;
  api_key_id: string | null;
  workspace_id: string | null;
  model: string | null;
}

export interface CostResult {
  amount: string;
  workspace_id: string | null;
  description: string | null;
  model: string | null;
  cost_type: string | null;
  token_type: string | null;
}

export interface Report<Result> {
  data: { starting_at: string; ending_at: string; results: Result[] }[];
  has_more: boolean;
  next_page: string | null;
}

export interface Money {
  amount: string;
  currency: "USD";
}

/** What happened in a bucket; costs are null for who may not see them. */
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
  first_token: { mean_ms: number; p50_ms: number; p95_ms: number } | null;
}

export interface ActivityReport extends Report<ActivityResult> {
  total: ActivityResult;
}

export interface RequestLatency {
  total_ms: number;
  queue_ms: number | null;
  money_ms: number | null;
  parked_ms: number | null;
  prefill_ms: number | null;
  decode_ms: number | null;
}

export interface RequestUsage {
  input_tokens: number;
  cache_creation: { ephemeral_5m_input_tokens: number; ephemeral_1h_input_tokens: number };
  cache_read_input_tokens: number;
  output_tokens: number;
  thinking_tokens: number;
}

/** A finished request, as the request log has it. */
export interface LoggedRequest {
  id: string;
  type: "request";
  ended_at: string;
  route: string;
  status: number;
  error_type: string | null;
  api_key_id: string | null;
  account_id: string | null;
  workspace_id: string | null;
  model: string | null;
  served_model: string | null;
  streamed: boolean;
  batch_id: string | null;
  latency: RequestLatency;
  usage: RequestUsage;
  cost: Money | null;
}

export interface Named {
  id: string;
  name: string | null;
}

export interface RefusedBy {
  kind: "rate_limit" | "spend_limit" | "queue";
  limit: string | number | null;
  scope: string | null;
  scope_id: string | null;
  type: string | null;
  held: boolean;
  retry_after_ms: number | null;
  buckets: {
    scope: string;
    scope_id: string;
    type: string;
    limit: number;
    remaining: number;
    full_in_ms: number;
  }[];
}

export interface CacheUse {
  read_tokens: number;
  written_tokens: number;
  planned_read_tokens: number;
  source: "memory" | "disk" | null;
  reason: string | null;
  breakpoints: { tokens: number; ttl: string; state: string }[];
}

/** A request, and why it went as it did. */
export interface RequestExplanation extends LoggedRequest {
  recorded: boolean;
  api_key: Named | null;
  account: Named | null;
  workspace: Named | null;
  engines: string[];
  engine: string | null;
  engine_number: number | null;
  refused_by: RefusedBy | null;
  cache: CacheUse | null;
  costs: {
    token_type: string;
    tokens: number;
    dollars_per_million: string | null;
    amount: string;
  }[];
}

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
  /** It is of a batch, and stands still for interactive requests. */
  is_parked: boolean;
}

export interface RunningRequests {
  data: RunningRequest[];
  total: number;
  models: { id: string; running: number; waiting: number }[];
}

export type Period = "daily" | "weekly" | "monthly";
export type SpendScope =
  | { type: "organization" }
  | { type: "workspace"; workspace_id: string }
  | { type: "api_key"; api_key_id: string }
  | { type: "usage_tier" };

export interface SpendLimit {
  id: string;
  type: "spend_limit";
  scope: SpendScope;
  amount: string;
  period: Period;
  is_enabled: boolean;
}

export interface Balance {
  type: "balance";
  scope: SpendScope;
  period: Period;
  starting_at: string;
  ending_at: string;
  spent: string;
  held: string;
  limit: string | null;
  remaining: string | null;
}

/** How much of a rate limit is used now; `full_at` is null if it is full. */
export interface RateLevel {
  type: "rate_limit_level";
  rate_limit_id: string;
  group: RateGroup;
  scope: SpendScope;
  limit_type: string;
  limit: number;
  used: number;
  remaining: number;
  full_at: string | null;
}

export interface RateGroup {
  type: "model_group" | "token_count" | "batch" | "files";
  id: string;
  display_name?: string;
}

export interface RateLimit {
  type: "rate_limit";
  id: string;
  group: RateGroup;
  models: string[] | null;
  limits: { type: string; value: number }[];
}

/** Which limit an increase request is about. */
export type LimitTarget =
  | { type: "rate_limit"; scope: SpendScope; rate_limit_id: string; limit_type: string }
  | { type: "spend_limit"; scope: SpendScope; period: Period };

/** Amounts are numbers a minute, or cents as decimal strings. */
export interface IncreaseRequest {
  id: string;
  type: "limit_increase_request";
  status: "open" | "granted" | "refused" | "withdrawn" | "replaced";
  limit: LimitTarget;
  current: number | string | null;
  requested: number | string;
  granted: number | string | null;
  reason: string;
  answer: string | null;
  asked_by: { type: string; id: string | null };
  asked_at: string;
  ended_at: string | null;
}

export interface Batch {
  id: string;
  type: "message_batch";
  processing_status: "in_progress" | "canceling" | "ended";
  request_counts: {
    processing: number;
    succeeded: number;
    errored: number;
    canceled: number;
    expired: number;
  };
  created_at: string;
  ended_at: string | null;
  expires_at: string;
  archived_at: string | null;
  cancel_initiated_at: string | null;
  results_url: string | null;
  /** Why no request of it runs; there while that is so. */
  waits_for?: string;
  /** Why few of its requests run at once; there while that is so. */
  slowed_by?: string;
  /** What its requests have cost; there once they have. */
  cost?: Money;
}

export interface Invite {
  id: string;
  type: "invite";
  email: string;
  role: Role;
  status: "accepted" | "deleted" | "expired" | "pending";
  invited_at: string;
  expires_at: string;
  accepted_at: string | null;
  /** Only in the answer that creates the invite. */
  link?: string;
}

export interface AuditEntry {
  id: string;
  type: "audit_log_entry";
  created_at: string;
  actor: { type: string; id?: string };
  action: string;
  object: { type: string; id: string };
  /** Of a limit: whose it is. */
  scope?: { type: string; workspace_id?: string; api_key_id?: string } | null;
  before: Record<string, unknown> | null;
  after: Record<string, unknown> | null;
  request_id: string | null;
}

export interface CacheResult {
  requests: number;
  /** Of these, how many read from the cache. */
  cache_read_requests: number;
  uncached_input_tokens: number;
  cache_read_input_tokens: number;
  cache_creation: { ephemeral_5m_input_tokens: number; ephemeral_1h_input_tokens: number };
  cache_read_share: number | null;
  saved: { amount: string; currency: "USD" };
  workspace_id: string | null;
  model: string | null;
}

export interface CacheEntry {
  id: string;
  type: "prompt_cache_entry";
  model: string;
  workspace_id: string | null;
  tokens: number;
  ttl: "5m" | "1h" | null;
  written_at: string | null;
  last_used_at: string;
  expires_at: string;
  hits: number | null;
  saved: { amount: string; currency: "USD" } | null;
  snapshot_bytes: number | null;
}

export interface CachedModel {
  id: string;
  type: "prompt_cache_model";
  cached_by: "engine" | "upstream" | null;
  minimum_tokens: number;
  entries: number;
  tokens: number;
  snapshots: number;
  snapshot_bytes: number;
  snapshot_bytes_limit: number | null;
  mismatches: number | null;
}

export interface PromptCacheState {
  type: "prompt_cache";
  entries: number;
  tokens: number;
  snapshot_bytes: number;
  less_cached_than_planned: Record<string, number> | null;
  models: CachedModel[];
}

export type SettingValue = boolean | number | string | string[] | null;

export interface Setting {
  name: string;
  value: SettingValue;
  default: SettingValue;
  is_set: boolean;
  is_secret: boolean;
  source: "default" | "file" | "environment" | "flag";
  place: string | null;
  text: string;
  /** What sets it in the file, and in the environment if it can be set there. */
  file_line: string;
  variable_line: string | null;
}

export interface ModelSettings {
  id: string;
  aliases: string[];
  limit_group: string;
  cache_minimum_tokens: number;
  has_price: boolean;
  engines: {
    engine: string;
    weight: number;
    source: string | null;
    options: { name: string; value: SettingValue }[];
  }[];
}

export interface ServerSettings {
  type: "server_settings";
  version: string;
  python: string;
  system: string;
  database: {
    kind: "sqlite" | "postgresql";
    version: string;
    name: string;
    size_bytes: number;
  };
  data_folder: { path: string; free_bytes: number | null; total_bytes: number | null };
  counters: { backend: "memory" | "valkey"; name: string | null };
  backup: { command: string; last_at: string | null; last_size_bytes: number | null };
  retention: { name: string; days: number | null }[];
  settings: Setting[];
  models: ModelSettings[];
}
