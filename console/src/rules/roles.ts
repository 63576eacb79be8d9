/** The roles of the organization that the API gives, and what each is for. */
export const ROLES = [
  ["user", "User", "Talks to models in the Playground"],
  ["developer", "Developer", "Has keys in the workspaces where they are a member"],
  ["billing", "Billing", "Sees cost, and sets what may be spent"],
  ["claude_code_user", "Claude Code user", "Uses Claude Code"],
] as const;

/** The roles in a workspace. */
export const WORKSPACE_ROLES = [
  ["workspace_user", "User"],
  ["workspace_developer", "Developer"],
  ["workspace_restricted_developer", "Restricted developer"],
  ["workspace_admin", "Administrator"],
] as const;

const NAMES: Record<string, string> = {
  admin: "Administrator",
  managed: "Managed",
  ...Object.fromEntries(ROLES.map(([role, name]) => [role, name])),
  ...Object.fromEntries(WORKSPACE_ROLES.map(([role, name]) => [role, name])),
};

/** Return a role in words. */
export function roleName(role: string): string {
  return NAMES[role] ?? role;
}
