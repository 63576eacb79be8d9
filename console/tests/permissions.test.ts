import assert from "node:assert/strict";
import { test } from "node:test";
import type { Key, KeyScope, Role, Session, WorkspaceRole } from "../src/api/types.ts";
import { changesKey } from "../src/rules/permissions.ts";

const HERE: KeyScope = { type: "workspace", workspace_id: "wrkspc_1" };

function session(role: Role, here: WorkspaceRole | null = null): Session {
  const added_at = "2026-01-01T00:00:00Z";
  return {
    type: "session",
    user: { id: "user_1", type: "user", email: "a@b.c", name: "A", role, added_at },
    organization: { id: "o", type: "organization", name: "O" },
    permissions: role === "admin" || role === "developer" ? ["keys.read", "keys.write"] : [],
    workspaces: [{ id: "wrkspc_1", name: "One", workspace_role: here, is_default: false }],
    expires_at: added_at,
    sign_out_of: null,
  };
}

const by = (id: string | null, scope: KeyScope = HERE): Pick<Key, "created_by" | "scope"> => ({
  created_by: id === null ? null : { id, type: "user" },
  scope,
});

test("an administrator changes every key", () => {
  assert.ok(changesKey(session("admin"), by("user_2")));
  assert.ok(changesKey(session("admin"), by(null)));
});

test("a developer changes own keys alone", () => {
  assert.ok(changesKey(session("developer"), by("user_1")));
  assert.ok(!changesKey(session("developer"), by("user_2")));
  assert.ok(!changesKey(session("developer", "workspace_developer"), by("user_2")));
  assert.ok(!changesKey(session("developer"), by(null)));
});

test("a developer who administers a workspace changes its keys, and no others", () => {
  const ruler = session("developer", "workspace_admin");
  assert.ok(changesKey(ruler, by("user_2")));
  assert.ok(!changesKey(ruler, by("user_2", { type: "workspace", workspace_id: "wrkspc_2" })));
  assert.ok(!changesKey(ruler, by("user_2", { type: "organization" })));
});

test("a role without keys changes none, not even of a workspace that it administers", () => {
  assert.ok(!changesKey(session("billing"), by("user_1")));
  assert.ok(!changesKey(session("user", "workspace_admin"), by("user_2")));
});
