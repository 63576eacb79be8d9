// Which pages a role gets to see. The server decides what a role may do; the Console only hides
// what would be refused.

import type { Key, Session } from "../api/types.ts";

export interface Entry {
  path: string;
  label: string;
  group: "Start" | "Build" | "Watch" | "Organization";
  /** One of these permissions is enough. */
  needs: readonly string[];
}

/** The navigation, in its order. */
export const ENTRIES = [
  { path: "/overview", label: "Overview", group: "Start", needs: ["usage.read"] },
  { path: "/playground", label: "Playground", group: "Build", needs: ["models.use"] },
  { path: "/keys", label: "API keys", group: "Build", needs: ["keys.read"] },
  { path: "/connect", label: "Connect", group: "Build", needs: ["models.read"] },
  { path: "/batches", label: "Batches", group: "Build", needs: ["batches.use"] },
  { path: "/files", label: "Files", group: "Build", needs: ["files.use"] },
  { path: "/models", label: "Models", group: "Build", needs: ["models.read"] },
  { path: "/usage", label: "Usage", group: "Watch", needs: ["usage.read"] },
  { path: "/cost", label: "Cost", group: "Watch", needs: ["cost.read"] },
  { path: "/requests", label: "Requests", group: "Watch", needs: ["requests.read"] },
  { path: "/limits", label: "Limits", group: "Watch", needs: ["limits.read"] },
  { path: "/cache", label: "Prompt cache", group: "Watch", needs: ["cache.read"] },
  { path: "/workspaces", label: "Workspaces", group: "Organization", needs: ["workspaces.read"] },
  { path: "/members", label: "Members", group: "Organization", needs: ["members.read"] },
  { path: "/audit", label: "Audit log", group: "Organization", needs: ["audit.read"] },
  { path: "/settings", label: "Settings", group: "Organization", needs: ["settings.read"] },
] as const satisfies readonly Entry[];

/** Return the entries that these permissions open. */
export function entriesFor(permissions: readonly string[]): Entry[] {
  return ENTRIES.filter((entry) => entry.needs.some((name) => permissions.includes(name)));
}

/**
 * Return whether the user changes a key: an administrator every one, others those that they created and
 * those of the workspaces that they administer.
 */
export function changesKey(
  { user, permissions, workspaces }: Pick<Session, "user" | "permissions" | "workspaces">,
  { created_by: creator, scope }: Pick<Key, "created_by" | "scope">,
): boolean {
  if (!permissions.includes("keys.write")) return false;
  if (user.role === "admin" || creator?.id === user.id) return true;
  return workspaces.some(
    ({ id, workspace_role: role }) =>
      role === "workspace_admin" && scope.type === "workspace" && scope.workspace_id === id,
  );
}
