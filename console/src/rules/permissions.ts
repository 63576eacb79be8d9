// Which pages a role gets to see. The server decides what a role may do; the Console only hides
// what would be refused.

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
