// What several pages ask for.

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useCan, useSession } from "../session.tsx";
import { ask } from "./client.ts";
import { all, allByPage } from "./listings.ts";
import type {
  IncreaseRequest,
  Key,
  Listing,
  Model,
  RateLimit,
  TokenListing,
  User,
  UserName,
  Workspace,
} from "./types.ts";

const ORGANIZATION = "/v1/organizations";

/** Ask for the models that the server serves in a workspace. */
export function useModels(workspace?: string) {
  return useQuery({
    queryKey: ["models", workspace ?? ""],
    queryFn: ({ signal }) =>
      ask<Listing<Model>>("GET", "/v1/models", { query: { limit: 1000 }, workspace, signal }),
    select: (page) => page.data,
  });
}

/** Ask for the names of all workspaces, archived ones included: what is old names them still. */
export function useWorkspaces() {
  const can = useCan();
  const { workspaces } = useSession();
  return useQuery({
    queryKey: ["workspaces", "all"],
    queryFn: ({ signal }) =>
      all<Workspace>(`${ORGANIZATION}/workspaces`, {
        query: { include_archived: true, include_default: true },
        signal,
      }),
    enabled: can("workspaces.read"),
    placeholderData: workspaces.map(
      ({ id, name }): Workspace => ({
        id,
        name,
        type: "workspace",
        display_color: "",
        created_at: "",
        archived_at: null,
        tags: {},
      }),
    ),
  });
}

/** Return what names a workspace by its id; `null` is the Default workspace. */
export function useWorkspaceName(): (id: string | null) => string {
  const { data = [] } = useWorkspaces();
  const { workspaces } = useSession();
  const names = new Map([...data, ...workspaces].map(({ id, name }) => [id, name]));
  return (id) => (id === null ? "Default" : (names.get(id) ?? id));
}

/** Ask for the names of all people. Who may not see all of them gets some, without addresses. */
export function useUserNames(enabled: boolean) {
  const can = useCan();
  return useQuery({
    queryKey: ["user-names"],
    queryFn: ({ signal }) => all<UserName>(`${ORGANIZATION}/user_names`, { signal }),
    enabled: enabled && can("names.read"),
    staleTime: 60_000,
  });
}

/** The most ids that one address names. */
const IDS_AT_ONCE = 100;

/** Ask for the objects of a listing with these ids, by id. */
function useByIds<Item extends { id: string }>(
  name: string,
  path: string,
  ids: readonly string[],
  enabled: boolean,
) {
  const wanted = [...new Set(ids)].sort();
  return useQuery({
    queryKey: [name, "by id", wanted],
    queryFn: async ({ signal }) => {
      const found = new Map<string, Item>();
      for (let start = 0; start < wanted.length; start += IDS_AT_ONCE) {
        const query = { limit: 1000, ids: wanted.slice(start, start + IDS_AT_ONCE) };
        const page = await ask<Listing<Item>>("GET", path, { query, signal });
        for (const item of page.data) found.set(item.id, item);
      }
      return found;
    },
    enabled: enabled && wanted.length > 0,
    staleTime: 60_000,
    placeholderData: keepPreviousData,
  });
}

/** Return what names these people by the ids of the users; `null` is nobody. */
export function useUserName(ids: readonly (string | null)[]): (id: string | null) => string {
  const can = useCan();
  const known = ids.filter((id) => id !== null);
  const path = `${ORGANIZATION}/user_names`;
  const { data } = useByIds<UserName>("user-names", path, known, can("names.read"));
  return (id) => (id === null ? "–" : (data?.get(id)?.name ?? id));
}

/** Ask for the names of these keys, by id. */
export function useNamesOfKeys(ids: readonly string[], enabled = true) {
  const can = useCan();
  const found = useByIds<Key>("keys", `${ORGANIZATION}/api_keys`, ids, enabled && can("keys.read"));
  return new Map([...(found.data ?? [])].map(([id, key]) => [id, key.name]));
}

/** Ask for these users, by id. */
export function useUsersById(ids: readonly string[]) {
  const can = useCan();
  const found = useByIds<User>("users", `${ORGANIZATION}/users`, ids, can("members.read"));
  return found.data ?? new Map<string, User>();
}

/** Ask for the first keys whose name has a part, to choose one. */
export function useKeyChoices(part: string, enabled = true) {
  const can = useCan();
  return useQuery({
    queryKey: ["keys", "choices", part],
    queryFn: ({ signal }) =>
      ask<Listing<Key>>("GET", `${ORGANIZATION}/api_keys`, {
        query: { limit: 50, contains: part || undefined, order_by: "name", order: "asc" },
        signal,
      }),
    select: (page) => page.data.filter((key) => key.status !== "archived"),
    enabled: enabled && can("keys.read"),
    placeholderData: keepPreviousData,
  });
}

/** Ask for the organization's rate limits: the groups that a limit can be set for. */
export function useRateLimits(enabled: boolean) {
  return useQuery({
    queryKey: ["rate-limits"],
    queryFn: ({ signal }) => allByPage<RateLimit>(`${ORGANIZATION}/rate_limits`, { signal }),
    enabled,
  });
}

/** Ask for the increase requests that wait for a decision, if the user decides. */
export function useOpenIncreases() {
  const can = useCan();
  return useQuery({
    queryKey: ["increases", "open"],
    queryFn: ({ signal }) =>
      ask<TokenListing<IncreaseRequest>>("GET", `${ORGANIZATION}/limit_increase_requests`, {
        query: { statuses: ["open"], limit: 50 },
        signal,
      }),
    enabled: can("limit_increases.decide"),
    refetchInterval: 60_000,
  });
}
