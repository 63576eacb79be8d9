// The objects of the API that the Console reads: those of the SDK, and those of the Console alone.

import type * as sdk from "antiphon";

/** An object without the words of later releases: a page and its server are of one release. */
type Closed<T> = T extends readonly (infer Item)[]
  ? Closed<Item>[]
  : T extends object
    ? { [Name in keyof T]: Closed<ClosedWord<T[Name]>> }
    : T;
type ClosedWord<T> = [Extract<NotAnyWord<T>, string>] extends [never] ? T : NotAnyWord<T>;
type NotAnyWord<T> = T extends string ? (string extends T ? never : T) : T;

/** An object of the API; the Console knows more of some of its fields than the description says. */
type Of<T, Fields = unknown> = Closed<Omit<T, keyof Fields>> & Fields;

export type User = Of<sdk.User>;
export type UserName = Of<sdk.UserName>;
export type Workspace = Pick<
  Of<sdk.Workspace>,
  "archived_at" | "created_at" | "display_color" | "id" | "name" | "tags" | "type"
>;
export type Key = Of<sdk.ApiKey>;
export type KeyWithSecret = Key & { secret: string };
export type KeyStatus = Key["status"];
export type KeyScope = Key["scope"];
export type Model = Of<sdk.ModelInfo>;
export type StoredFile = Of<sdk.FileMetadata>;
export type FileStorage = Of<sdk.FileStorage>;
export type EngineError = Of<sdk.EngineError>;
export type EngineState = Of<sdk.Engine>;
export type EngineStatus = EngineState["status"];
export type ModelState = Of<sdk.ModelState>;
export type ModelStatus = ModelState["status"];
export type TakeOver = Of<sdk.TakeOver>;
export type UsageResult = Pick<
  Of<sdk.UsageResult>,
  | "api_key_id"
  | "cache_creation"
  | "cache_read_input_tokens"
  | "model"
  | "output_tokens"
  | "uncached_input_tokens"
  | "workspace_id"
>;
export type CostResult = Pick<
  Of<sdk.CostResult>,
  "amount" | "cost_type" | "description" | "model" | "token_type" | "workspace_id"
>;
export type Money = Of<sdk.Money>;
/** What happened in a bucket; costs are null for who may not see them. */
export type ActivityResult = Omit<Of<sdk.ActivityResult>, "api_key_id" | "model" | "workspace_id">;
export type ActivityReport = Report<ActivityResult> & { total: ActivityResult };
export type RequestLatency = Of<sdk.RequestLatency>;
export type RequestUsage = Of<sdk.RequestUsage>;
export type LoggedRequest = Of<sdk.RequestRecord>;
export type Named = Of<sdk.Named>;
export type RefusedBy = Of<sdk.RefusedBy, { kind: "rate_limit" | "spend_limit" | "queue" }>;
export type CacheUse = Of<sdk.CacheUse>;
export type RequestExplanation = Of<sdk.RequestExplanation, { refused_by: RefusedBy | null }>;
export type RunningRequest = Of<sdk.RunningRequest>;
export type RunningRequests = Of<sdk.RunningRequests>;
export type Period = SpendLimit["period"];
export type SpendLimit = Of<sdk.SpendLimit, { scope: SpendScope }>;
export type Balance = Of<sdk.Balance, { scope: SpendScope }>;
/** How much of a rate limit is used now; `full_at` is null if it is full. */
export type RateLevel = Of<sdk.RateLevel, { group: RateGroup; scope: SpendScope }>;
export type RateLimit = Of<sdk.RateLimit, { group: RateGroup }>;
/** Amounts are numbers a minute, or cents as decimal strings. */
export type IncreaseRequest = Of<
  sdk.LimitIncreaseRequest,
  { limit: LimitTarget; asked_by: { type: string; id: string | null } }
>;
export type Batch = Of<sdk.MessageBatch>;
export type Invite = Of<sdk.Invite>;
export type AuditEntry = Of<
  Omit<sdk.AuditEntry, "scope">,
  {
    actor: { type: string; id?: string };
    object: { type: string; id: string };
    /** Of a limit: whose it is. */
    scope?: { type: string; workspace_id?: string; api_key_id?: string } | null;
  }
>;
export type CacheResult = Of<sdk.CacheReportResult>;
export type CacheEntry = Of<sdk.CacheEntry, { ttl: "5m" | "1h" | null }>;
export type CachedModel = Of<sdk.CachedModel>;
export type PromptCacheState = Of<sdk.PromptCache>;
export type SettingValue = boolean | number | string | string[] | null;
export type Setting = Of<sdk.Setting>;
export type ModelSettings = Of<sdk.ModelSettings>;
export type ServerSettings = Of<sdk.ServerSettings>;

export type Role = "user" | "claude_code_user" | "developer" | "billing" | "managed" | "admin";
export type WorkspaceRole =
  | "workspace_user"
  | "workspace_developer"
  | "workspace_restricted_developer"
  | "workspace_admin";

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

export interface Report<Result> {
  data: { starting_at: string; ending_at: string; results: Result[] }[];
  has_more: boolean;
  next_page: string | null;
}

export type SpendScope =
  | { type: "organization" }
  | { type: "workspace"; workspace_id: string }
  | { type: "api_key"; api_key_id: string }
  | { type: "usage_tier" };

export interface RateGroup {
  type: "model_group" | "token_count" | "batch" | "files";
  id: string;
  display_name?: string;
}

/** Which limit an increase request is about. */
export type LimitTarget =
  | { type: "rate_limit"; scope: SpendScope; rate_limit_id: string; limit_type: string }
  | { type: "spend_limit"; scope: SpendScope; period: Period };
