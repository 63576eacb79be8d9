// What a change of the audit log says, in words.

import type { AuditEntry } from "../api/types.ts";
import { dollarsOfCents } from "./money.ts";

type Values = Record<string, unknown> | null;

/** One value that a change has changed; `before` is null for a new object, `after` for a removed one. */
export interface Difference {
  name: string;
  before: string | null;
  after: string | null;
}

/** What identifies an object is in the sentence, and says nothing more here. */
const KNOWN = new Set(["id", "type", "principal", "compartment_id", "data_residency"]);

/** Return what differs between the values of an object before and after a change. */
export function differences(before: Values, after: Values): Difference[] {
  const names = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])];
  return names
    .filter((name) => !KNOWN.has(name))
    .map((name) => ({
      name: plain(name),
      before: said(name, before?.[name]),
      after: said(name, after?.[name]),
    }))
    .filter((one) => one.before !== one.after);
}

function plain(name: string): string {
  return name.replaceAll("_", " ");
}

/** Return a value as a person would say it: null for none. */
function said(name: string, value: unknown): string | null {
  if (value === undefined || value === null || value === "") return null;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (name === "amount" && typeof value === "string") return dollarsOfCents(value);
  if (typeof value !== "object") return String(value);
  if (Array.isArray(value)) {
    return value.map((each) => said("", each) ?? "none").join(", ") || null;
  }
  const fields = value as Record<string, unknown>;
  // A limit, such as {"type": "requests_per_minute", "value": 5}.
  if ("value" in fields && typeof fields.type === "string") {
    return `${plain(fields.type)} ${said("", fields.value) ?? "none"}`;
  }
  const parts = Object.entries(fields).map(([key, each]) => {
    const text = said(key, each);
    return key === "type" || key === "id" ? text : text && `${plain(key)} ${text}`;
  });
  return parts.filter(Boolean).join(", ") || null;
}

/** What each action of the log did, before the name of its object. */
export const ACTIONS: Record<string, string> = {
  "api_key.create": "created the key",
  "api_key.update": "changed the key",
  "api_key.rotate": "gave a new secret to the key",
  "file.create": "uploaded the file",
  "file.delete": "deleted the file",
  "invite.create": "invited",
  "invite.delete": "withdrew the invite of",
  "limit_increase_request.create": "asked for a higher limit of",
  "limit_increase_request.grant": "granted a higher limit of",
  "limit_increase_request.replace": "replaced the wish for a higher limit of",
  "limit_increase_request.refuse": "refused a higher limit of",
  "limit_increase_request.withdraw": "withdrew the wish for a higher limit of",
  "link.create": "made a link to the Console for",
  "password.set": "set the password of",
  "rate_limit.update": "changed the rate limits of",
  "session.create": "signed in as",
  "session.delete": "signed out",
  "session.delete_all": "signed out everywhere",
  "session.refuse": "was refused to sign in as",
  "spend_limit.create": "set a spend limit of",
  "spend_limit.delete": "removed a spend limit of",
  "spend_limit.update": "changed a spend limit of",
  "user.create": "added the user",
  "user.delete": "removed the user",
  "user.update": "changed the user",
  "workspace.archive": "archived the workspace",
  "workspace.create": "created the workspace",
  "workspace.update": "changed the workspace",
  "workspace_member.create": "added to a workspace",
  "workspace_member.delete": "removed from a workspace",
  "workspace_member.update": "changed the role in a workspace of",
};

/** What people do to themselves. */
const OWN: Record<string, string> = {
  "password.set": "chose a password",
  "session.create": "signed in",
  "session.delete": "signed out",
  "session.delete_all": "signed out everywhere",
  "user.create": "joined",
};

type Change = Pick<AuditEntry, "action" | "actor" | "object">;

/** Return whether somebody did it to themselves, so that the sentence names no other object. */
export function isAlone({ action, actor, object }: Change): boolean {
  return action in OWN && actor.id === object.id;
}

/** Return what a change did, in words; of an action that is new, its name. */
export function verbOf(entry: Change): string {
  const { action } = entry;
  const own = isAlone(entry) ? OWN[action] : undefined;
  return own ?? ACTIONS[action] ?? `did ${plain(action).replace(".", ": ")} to`;
}

/** What an object is called, where it is, and its id. */
export interface Named {
  name: string;
  id: string;
  kind: "key" | "workspace" | "user" | null;
}

/** Return what a change was of: the object, or for a limit whose limit it is. */
export function objectOf(entry: Pick<AuditEntry, "object" | "scope" | "before" | "after">): Named {
  const { scope, object } = entry;
  if (scope?.workspace_id)
    return { name: "a workspace", id: scope.workspace_id, kind: "workspace" };
  if (scope?.api_key_id) return { name: "a key", id: scope.api_key_id, kind: "key" };
  if (scope) return { name: "the organization", id: object.id, kind: null };
  const values = { ...entry.before, ...entry.after };
  const called = values.name ?? values.filename ?? values.email;
  const kinds = { api_key: "key", workspace: "workspace", user: "user" } as const;
  if (object.type === "workspace_member") {
    const [, user = object.id] = object.id.split("/");
    return { name: "a user", id: user, kind: "user" };
  }
  return {
    name: typeof called === "string" ? called : `${plain(object.type)}`,
    id: object.id,
    kind:
      kinds[object.type as keyof typeof kinds] ?? (object.id.startsWith("user_") ? "user" : null),
  };
}

/** Return who made a change, where it was no user and no key. */
export function actorName(type: string): string {
  const names: Record<string, string> = {
    api_key: "An admin key",
    command_line: "The command line",
    server: "The server",
    unknown: "Somebody",
    user: "A user",
  };
  return names[type] ?? plain(type);
}

/** Return an action or a type such as "api_key" in words: "Api key". */
export function inWords(action: string): string {
  const words = plain(action).replace(".", ": ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
