// The organization: its keys, people, workspaces, limits and reports. It needs an admin key.

import type { Call } from "../call.ts";
import type { Antiphon, CallOptions } from "../client.ts";
import { idempotent } from "../idempotent.ts";
import type { Pages } from "../pages.ts";
import type * as wire from "../wire.ts";
import { AdminCalls } from "./admin.ts";
import { LimitIncreases, RateLimits, SpendLimits } from "./limits.ts";
import { Invites, Users, Workspaces } from "./people.ts";

/** `client.organization`. */
export class Organization {
  readonly apiKeys: ApiKeys;
  readonly users: Users;
  readonly invites: Invites;
  readonly workspaces: Workspaces;
  readonly rateLimits: RateLimits;
  readonly spendLimits: SpendLimits;
  readonly limitIncreases: LimitIncreases;
  readonly promptCache: PromptCaching;
  readonly #calls: AdminCalls;

  constructor(client: Antiphon) {
    const calls = new AdminCalls(client);
    this.#calls = calls;
    this.apiKeys = new ApiKeys(calls);
    this.users = new Users(calls);
    this.invites = new Invites(calls);
    this.workspaces = new Workspaces(calls);
    this.rateLimits = new RateLimits(calls, []);
    this.spendLimits = new SpendLimits(calls);
    this.limitIncreases = new LimitIncreases(calls);
    this.promptCache = new PromptCaching(calls);
  }

  /** Return the organization of the key. */
  retrieve(options?: CallOptions): Call<wire.OrganizationInfo> {
    return this.#calls.get(["me"], options);
  }

  /** Iterate over the buckets of the report of tokens. */
  usageReport(
    query: wire.UsageReportMessagesQuery,
    options?: CallOptions,
  ): Pages<wire.UsageBucket> {
    return this.#calls.list(["usage_report", "messages"], query, options);
  }

  /** Iterate over the buckets of the report of costs. */
  costReport(query: wire.CostReportQuery, options?: CallOptions): Pages<wire.CostBucket> {
    return this.#calls.list(["cost_report"], query, options);
  }

  /** Iterate over what of the limits is used. */
  balances(query?: wire.BalancesQuery, options?: CallOptions): Pages<wire.Balance> {
    return this.#calls.list(["balances"], query, options);
  }

  /** Iterate over the audit log. */
  auditLog(query?: wire.AuditLogQuery, options?: CallOptions): Pages<wire.AuditEntry> {
    return this.#calls.list(["audit_log"], query, options);
  }

  /** Iterate over how much of each rate limit is used now. */
  rateLimitLevels(query?: wire.RateLimitLevelsQuery, options?: CallOptions): Pages<wire.RateLevel> {
    return this.#calls.list(["rate_limit_levels"], query, options);
  }

  /** Return one page of what happened, and its total. */
  activity(query: wire.ActivityQuery, options?: CallOptions): Call<wire.ActivityReport> {
    return this.#calls.get(["activity"], options, query);
  }

  /** Iterate over the request log. */
  requests(query?: wire.RequestsQuery, options?: CallOptions): Pages<wire.RequestRecord> {
    return this.#calls.list(["requests"], query, options);
  }

  /** Return why a request went as it did, by its request id. */
  explainRequest(id: string, options?: CallOptions): Call<wire.RequestExplanation> {
    return this.#calls.get(["requests", id], options);
  }

  /** Return the requests that run now. */
  runningRequests(options?: CallOptions): Call<wire.RunningRequests> {
    return this.#calls.get(["running_requests"], options);
  }

  /** Return the room for files. */
  fileStorage(query?: wire.FileStorageQuery, options?: CallOptions): Call<wire.FileStorage> {
    return this.#calls.get(["file_storage"], options, query);
  }

  /** Return how the models and their engines are now. */
  modelStates(options?: CallOptions): Call<wire.ModelStates> {
    return this.#calls.get(["models"], options);
  }

  /** Return how the server is set. No secret is in it. */
  settings(options?: CallOptions): Call<wire.ServerSettings> {
    return this.#calls.get(["settings"], options);
  }
}

/** `client.organization.promptCache`. */
export class PromptCaching {
  readonly #calls: AdminCalls;

  constructor(calls: AdminCalls) {
    this.#calls = calls;
  }

  /** Return what is in the prompt cache. */
  retrieve(options?: CallOptions): Call<wire.PromptCache> {
    return this.#calls.get(["prompt_cache"], options);
  }

  entries(query?: wire.PromptCacheEntriesQuery, options?: CallOptions): Pages<wire.CacheEntry> {
    return this.#calls.list(["prompt_cache", "entries"], query, options);
  }

  /** Iterate over the buckets of the report of what it saved. */
  report(query: wire.PromptCacheReportQuery, options?: CallOptions): Pages<wire.PromptCacheBucket> {
    return this.#calls.list(["prompt_cache", "report"], query, options);
  }
}

/** `client.organization.apiKeys`. */
export class ApiKeys {
  readonly #calls: AdminCalls;

  constructor(calls: AdminCalls) {
    this.#calls = calls;
  }

  /** Create a key. Its `secret` is in this answer alone. A repetition creates no second key. */
  create(params: wire.ApiKeyCreateParams, options?: CallOptions): Call<wire.ApiKey> {
    return this.#calls.post(["api_keys"], params, idempotent(options));
  }

  list(query?: wire.ApiKeysQuery, options?: CallOptions): Pages<wire.ApiKey> {
    return this.#calls.list(["api_keys"], query, options);
  }

  retrieve(id: string, options?: CallOptions): Call<wire.ApiKey> {
    return this.#calls.get(["api_keys", id], options);
  }

  update(id: string, params: wire.ApiKeyUpdateParams, options?: CallOptions): Call<wire.ApiKey> {
    return this.#calls.post(["api_keys", id], params, options);
  }

  /**
   * Give a key a new secret, once, also if the call is repeated. The old one stays valid for a
   * time, a day by default.
   */
  rotate(
    id: string,
    params: wire.ApiKeyRotateParams = {},
    options?: CallOptions,
  ): Call<wire.ApiKey> {
    return this.#calls.post(["api_keys", id, "rotate"], params, idempotent(options));
  }

  /** End a key for good. */
  archive(id: string, options?: CallOptions): Call<wire.ApiKey> {
    return this.update(id, { status: "archived" }, options);
  }

  /** Return the rate limits of one key. */
  rateLimits(id: string): RateLimits<wire.KeyRateLimit> {
    return new RateLimits(this.#calls, ["api_keys", id]);
  }
}
