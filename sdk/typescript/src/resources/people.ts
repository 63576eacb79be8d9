// People of an organization, and the workspaces that they work in.

import type { Call } from "../call.ts";
import type { CallOptions } from "../client.ts";
import type { Pages } from "../pages.ts";
import type * as wire from "../wire.ts";
import type { AdminCalls } from "./admin.ts";
import { RateLimits } from "./limits.ts";

/** `client.organization.users`. */
export class Users {
  readonly #calls: AdminCalls;

  constructor(calls: AdminCalls) {
    this.#calls = calls;
  }

  list(query?: wire.UsersQuery, options?: CallOptions): Pages<wire.User> {
    return this.#calls.list(["users"], query, options);
  }

  retrieve(id: string, options?: CallOptions): Call<wire.User> {
    return this.#calls.get(["users", id], options);
  }

  update(id: string, params: wire.UpdateUserParams, options?: CallOptions): Call<wire.User> {
    return this.#calls.post(["users", id], params, options);
  }

  delete(id: string, options?: CallOptions): Call<wire.Deleted> {
    return this.#calls.delete(["users", id], options);
  }

  /** End all sessions of a user in the Console. */
  signOut(id: string, options?: CallOptions): Call<wire.UserSignedOut> {
    return this.#calls.post(["users", id, "sign_out"], {}, options);
  }

  /** Iterate over the names of all people. */
  names(query?: wire.UserNamesQuery, options?: CallOptions): Pages<wire.UserName> {
    return this.#calls.list(["user_names"], query, options);
  }
}

/** `client.organization.invites`. */
export class Invites {
  readonly #calls: AdminCalls;

  constructor(calls: AdminCalls) {
    this.#calls = calls;
  }

  list(query?: wire.InvitesQuery, options?: CallOptions): Pages<wire.Invite> {
    return this.#calls.list(["invites"], query, options);
  }

  create(params: wire.CreateInviteParams, options?: CallOptions): Call<wire.Invite> {
    return this.#calls.post(["invites"], params, options);
  }

  retrieve(id: string, options?: CallOptions): Call<wire.Invite> {
    return this.#calls.get(["invites", id], options);
  }

  delete(id: string, options?: CallOptions): Call<wire.Deleted> {
    return this.#calls.delete(["invites", id], options);
  }

  /** Make the invited person a user. */
  accept(id: string, params: wire.AcceptInviteParams, options?: CallOptions): Call<wire.User> {
    return this.#calls.post(["invites", id, "accept"], params, options);
  }
}

/** `client.organization.workspaces`. */
export class Workspaces {
  readonly members: Members;
  readonly #calls: AdminCalls;

  constructor(calls: AdminCalls) {
    this.#calls = calls;
    this.members = new Members(calls);
  }

  list(query?: wire.WorkspacesQuery, options?: CallOptions): Pages<wire.Workspace> {
    return this.#calls.list(["workspaces"], query, options);
  }

  create(params: wire.CreateWorkspaceParams, options?: CallOptions): Call<wire.Workspace> {
    return this.#calls.post(["workspaces"], params, options);
  }

  retrieve(id: string, options?: CallOptions): Call<wire.Workspace> {
    return this.#calls.get(["workspaces", id], options);
  }

  update(
    id: string,
    params: wire.UpdateWorkspaceParams,
    options?: CallOptions,
  ): Call<wire.Workspace> {
    return this.#calls.post(["workspaces", id], params, options);
  }

  archive(id: string, options?: CallOptions): Call<wire.Workspace> {
    return this.#calls.post(["workspaces", id, "archive"], {}, options);
  }

  /** Return the rate limits of one workspace. */
  rateLimits(id: string): RateLimits<wire.WorkspaceRateLimit> {
    return new RateLimits(this.#calls, ["workspaces", id]);
  }
}

/** `client.organization.workspaces.members`. */
export class Members {
  readonly #calls: AdminCalls;

  constructor(calls: AdminCalls) {
    this.#calls = calls;
  }

  list(
    workspace: string,
    query?: wire.WorkspacesMembersQuery,
    options?: CallOptions,
  ): Pages<wire.WorkspaceMember> {
    return this.#calls.list(["workspaces", workspace, "members"], query, options);
  }

  retrieve(workspace: string, user: string, options?: CallOptions): Call<wire.WorkspaceMember> {
    return this.#calls.get(["workspaces", workspace, "members", user], options);
  }

  add(
    workspace: string,
    params: wire.AddMemberParams,
    options?: CallOptions,
  ): Call<wire.WorkspaceMember> {
    return this.#calls.post(["workspaces", workspace, "members"], params, options);
  }

  update(
    workspace: string,
    user: string,
    params: wire.UpdateMemberParams,
    options?: CallOptions,
  ): Call<wire.WorkspaceMember> {
    return this.#calls.post(["workspaces", workspace, "members", user], params, options);
  }

  remove(workspace: string, user: string, options?: CallOptions): Call<wire.MemberDeleted> {
    return this.#calls.delete(["workspaces", workspace, "members", user], options);
  }
}
