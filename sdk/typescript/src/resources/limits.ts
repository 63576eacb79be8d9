// Rate limits and spend limits of an organization.

import type { Call } from "../call.ts";
import type { CallOptions } from "../client.ts";
import type { Pages } from "../pages.ts";
import type * as wire from "../wire.ts";
import type { AdminCalls } from "./admin.ts";

/** The rate limits of the organization, of a workspace or of a key. */
export class RateLimits<Limit = wire.RateLimit> {
  readonly #calls: AdminCalls;
  readonly #steps: string[];

  constructor(calls: AdminCalls, owner: string[]) {
    this.#calls = calls;
    this.#steps = [...owner, "rate_limits"];
  }

  list(query?: wire.RateLimitsQuery, options?: CallOptions): Pages<Limit> {
    return this.#calls.list(this.#steps, query, options);
  }

  /** Set the limits of a group of models. */
  set(id: string, params: wire.SetLimitsParams, options?: CallOptions): Call<Limit> {
    return this.#calls.post([...this.#steps, id], params, options);
  }
}

/** `client.organization.spendLimits`. */
export class SpendLimits {
  readonly #calls: AdminCalls;

  constructor(calls: AdminCalls) {
    this.#calls = calls;
  }

  list(query?: wire.SpendLimitsQuery, options?: CallOptions): Pages<wire.SpendLimit> {
    return this.#calls.list(["spend_limits"], query, options);
  }

  create(params: wire.CreateSpendLimitParams, options?: CallOptions): Call<wire.SpendLimit> {
    return this.#calls.post(["spend_limits"], params, options);
  }

  retrieve(id: string, options?: CallOptions): Call<wire.SpendLimit> {
    return this.#calls.get(["spend_limits", id], options);
  }

  update(
    id: string,
    params: wire.UpdateSpendLimitParams,
    options?: CallOptions,
  ): Call<wire.SpendLimit> {
    return this.#calls.post(["spend_limits", id], params, options);
  }

  delete(id: string, options?: CallOptions): Call<wire.Deleted> {
    return this.#calls.delete(["spend_limits", id], options);
  }

  /** Iterate over the limits that apply to members, with what they have spent. */
  effective(
    query?: wire.SpendLimitsEffectiveQuery,
    options?: CallOptions,
  ): Pages<wire.SpendSummary> {
    return this.#calls.list(["spend_limits", "effective"], query, options);
  }
}

/** `client.organization.limitIncreases`: what members ask for, and who decides. */
export class LimitIncreases {
  readonly #calls: AdminCalls;

  constructor(calls: AdminCalls) {
    this.#calls = calls;
  }

  list(
    query?: wire.LimitIncreaseRequestsQuery,
    options?: CallOptions,
  ): Pages<wire.LimitIncreaseRequest> {
    return this.#calls.list([INCREASES], query, options);
  }

  create(
    params: wire.AskForIncreaseParams,
    options?: CallOptions,
  ): Call<wire.LimitIncreaseRequest> {
    return this.#calls.post([INCREASES], params, options);
  }

  retrieve(id: string, options?: CallOptions): Call<wire.LimitIncreaseRequest> {
    return this.#calls.get([INCREASES, id], options);
  }

  grant(
    id: string,
    params: wire.GrantIncreaseParams = {},
    options?: CallOptions,
  ): Call<wire.LimitIncreaseRequest> {
    return this.#calls.post([INCREASES, id, "grant"], params, options);
  }

  refuse(
    id: string,
    params: wire.RefuseIncreaseParams,
    options?: CallOptions,
  ): Call<wire.LimitIncreaseRequest> {
    return this.#calls.post([INCREASES, id, "refuse"], params, options);
  }

  withdraw(id: string, options?: CallOptions): Call<wire.LimitIncreaseRequest> {
    return this.#calls.post([INCREASES, id, "withdraw"], {}, options);
  }
}

const INCREASES = "limit_increase_requests";
