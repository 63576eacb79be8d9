import { Badge, Button, Group, Menu, Select, Stack, Text, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { ask } from "../api/client.ts";
import type { Invite, User } from "../api/types.ts";
import { isFiltered, type ListPlace } from "../rules/listing.ts";
import { ROLES, roleName } from "../rules/roles.ts";
import { membersSearch, ROLE_NAMES } from "../rules/searches.ts";
import { useCan, useSession } from "../session.tsx";
import { Dialog } from "../ui/Dialog.tsx";
import { Filter } from "../ui/Filter.tsx";
import { Empty, ErrorNotice, Loaded } from "../ui/notices.tsx";
import { Pager } from "../ui/Pager.tsx";
import { Head, Lines, Time } from "../ui/parts.tsx";
import { RowMenu } from "../ui/Shell.tsx";
import { type Column, type Sorting, Table } from "../ui/Table.tsx";
import { useListing } from "../ui/useListing.ts";
import { Window } from "../ui/Window.tsx";

const route = getRouteApi("/signed-in/members");
const USERS = "/v1/organizations/users";
const INVITES = "/v1/organizations/invites";
const CHANGES = [["users"], ["invites"]] as const;
const COLORS = { pending: "yellow", accepted: "green", expired: "gray", deleted: "gray" } as const;

/** Who may sign in, with which role, and who is invited. */
export function Members() {
  const can = useCan();
  const [inviting, setInviting] = useState(false);
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const {
    page: users,
    narrow,
    sorting,
  } = useListing<User>({
    of: ["users", "page"],
    path: USERS,
    search,
    onSearch: (next) => void navigate({ search: membersSearch({ ...next }) }),
    order: "-added_at",
    filters: { roles: search.role ? [search.role] : undefined },
  });
  const invite = can("members.write") && (
    <Button onClick={() => setInviting(true)}>Invite a person</Button>
  );
  return (
    <>
      <Head title="Members" actions={invite}>
        Who may sign in, and what their role lets them do.
      </Head>
      <div className="filters">
        <Filter label="Name or address" value={search.q} onChange={(q) => narrow({ q })} />
        <Select
          label="Role"
          placeholder="All"
          clearable
          clearButtonProps={{ "aria-label": "Show all roles" }}
          data={ROLE_NAMES.map((role) => ({ value: role, label: roleName(role) }))}
          value={search.role ?? null}
          onChange={(role) => narrow({ role })}
        />
      </div>
      <Loaded query={users} what="the members">
        {(page) =>
          page.data.length ? (
            <>
              <UserTable users={page.data} sorting={sorting} />
              <Pager page={page} search={search} onMove={narrow} />
            </>
          ) : isFiltered(search) ? (
            <Empty
              title="No member matches"
              action={
                <Button variant="default" onClick={() => void navigate({ search: {} })}>
                  Show all members
                </Button>
              }
            >
              Part of the name or of the address is enough.
            </Empty>
          ) : (
            <Empty title="No members" action={invite}>
              Invite the first person by a link.
            </Empty>
          )
        }
      </Loaded>
      <Invites part={search.q} />
      {inviting && <NewInvite onClose={() => setInviting(false)} />}
    </>
  );
}

/** The invites that wait or have expired. They have few filters, so the address does not name their page. */
function Invites({ part }: { part: string | undefined }) {
  const [search, setSearch] = useState<ListPlace>({});
  const {
    page: invites,
    narrow,
    sorting,
  } = useListing<Invite>({
    of: ["invites", part],
    path: INVITES,
    search,
    onSearch: setSearch,
    order: "-invited_at",
    filters: { statuses: ["pending", "expired"], contains: part },
  });
  return (
    <>
      <h2 className="section">Invites</h2>
      <Loaded query={invites} what="the invites">
        {(page) =>
          page.data.length ? (
            <>
              <InviteTable invites={page.data} sorting={sorting} />
              <Pager page={page} search={search} onMove={narrow} />
            </>
          ) : (
            <Text c="dimmed" size="sm">
              {part ? "No invite of such an address is waiting." : "No invite is waiting."}
            </Text>
          )
        }
      </Loaded>
    </>
  );
}

function UserTable({ users, sorting }: { users: User[]; sorting: Sorting }) {
  const can = useCan();
  const columns: Column<User>[] = [
    {
      title: "Name",
      sort: "name",
      cell: (user) => (
        <span className="name" title={user.name}>
          {user.name}
        </span>
      ),
    },
    { title: "E-mail address", sort: "email", cell: (user) => user.email },
    { title: "Role", cell: (user) => roleName(user.role) },
    { title: "Joined", sort: "added_at", cell: (user) => <Time at={user.added_at} relative /> },
  ];
  if (can("members.write")) {
    columns.push({ title: "Actions", stays: true, cell: (user) => <UserMenu user={user} /> });
  }
  return (
    <Table
      caption="Members"
      columns={columns}
      rows={users}
      keyOf={(user) => user.id}
      sorting={sorting}
    />
  );
}

function UserMenu({ user }: { user: User }) {
  const session = useSession();
  const [action, setAction] = useState<"role" | "sign-out" | "remove" | null>(null);
  const [role, setRole] = useState<string>(user.role);
  const close = () => setAction(null);
  if (user.id === session.user.id) return null;
  // Only the command line changes administrators, so that none locks all others out by mistake.
  const changed = user.role !== "admin";
  return (
    <>
      <RowMenu label={`Actions for ${user.name}`}>
        {changed && <Menu.Item onClick={() => setAction("role")}>Change the role</Menu.Item>}
        <Menu.Item onClick={() => setAction("sign-out")}>Sign out</Menu.Item>
        {changed && (
          <Menu.Item className="danger" onClick={() => setAction("remove")}>
            Remove
          </Menu.Item>
        )}
      </RowMenu>
      {action === "sign-out" && (
        <Dialog
          title={`Sign ${user.name} out?`}
          verb="Sign out"
          send={() => ask("POST", `${USERS}/${user.id}/sign_out`, { body: {} })}
          changes={[]}
          onClose={close}
        >
          <Text size="sm">
            Their sessions end in all browsers. They can sign in again, and their keys go on
            working.
          </Text>
        </Dialog>
      )}
      {action === "role" && (
        <Dialog
          title={`The role of ${user.name}`}
          verb="Change the role"
          disabled={role === user.role}
          send={() => ask("POST", `${USERS}/${user.id}`, { body: { role } })}
          changes={CHANGES}
          onClose={close}
        >
          <RoleSelect value={role} onChange={setRole} />
        </Dialog>
      )}
      {action === "remove" && (
        <Dialog
          title={`Remove ${user.name}?`}
          verb="Remove"
          danger
          send={() => ask("DELETE", `${USERS}/${user.id}`)}
          changes={CHANGES}
          onClose={close}
        >
          <Text size="sm">
            Their sessions end at once. Keys that they created go on working, until you disable
            them.
          </Text>
        </Dialog>
      )}
    </>
  );
}

function RoleSelect({ value, onChange }: { value: string; onChange: (role: string) => void }) {
  return (
    <Select
      label="Role"
      description={ROLES.find(([role]) => role === value)?.[2]}
      allowDeselect={false}
      data={ROLES.map(([role, name]) => ({ value: role, label: name }))}
      value={value}
      onChange={(chosen) => onChange(chosen ?? value)}
    />
  );
}

function InviteTable({ invites, sorting }: { invites: Invite[]; sorting: Sorting }) {
  const can = useCan();
  const columns: Column<Invite>[] = [
    { title: "E-mail address", sort: "email", cell: (invite) => invite.email },
    { title: "Role", cell: (invite) => roleName(invite.role) },
    {
      title: "Status",
      cell: ({ status }) => (
        <Badge variant="light" color={COLORS[status]} tt="none" fw={500}>
          {status === "pending" ? "Waiting" : "Expired"}
        </Badge>
      ),
    },
    {
      title: "Invited",
      sort: "invited_at",
      cell: (invite) => <Time at={invite.invited_at} relative />,
    },
    { title: "Expires", cell: (invite) => <Time at={invite.expires_at} relative /> },
  ];
  if (can("members.write")) {
    columns.push({ title: "Actions", stays: true, cell: (invite) => <Withdraw invite={invite} /> });
  }
  return (
    <Table
      caption="Invites"
      columns={columns}
      rows={invites}
      keyOf={(invite) => invite.id}
      sorting={sorting}
    />
  );
}

function Withdraw({ invite }: { invite: Invite }) {
  const [asked, setAsked] = useState(false);
  return (
    <>
      <Button size="compact-sm" variant="default" onClick={() => setAsked(true)}>
        Withdraw
      </Button>
      {asked && (
        <Dialog
          title={`Withdraw the invite of ${invite.email}?`}
          verb="Withdraw"
          danger
          send={() => ask("DELETE", `${INVITES}/${invite.id}`)}
          changes={CHANGES}
          onClose={() => setAsked(false)}
        >
          <Text size="sm">Its link stops working at once.</Text>
        </Dialog>
      )}
    </>
  );
}

/** Invites a person; the link is shown once, and nothing is sent. */
function NewInvite({ onClose }: { onClose: () => void }) {
  const [email, setEmail] = useState("");
  const [role, setRole] = useState<string>("developer");
  const queries = useQueryClient();
  const create = useMutation({
    mutationFn: () => ask<Invite>("POST", INVITES, { body: { email: email.trim(), role } }),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["invites"] }),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    create.mutate();
  };
  const made = create.data;
  return (
    <Window onClose={onClose} title={made ? `The invite of ${made.email}` : "Invite a person"}>
      {made ? (
        <Stack>
          <Text size="sm">
            Give this link to the person. It works once, for 21 days, and cannot be shown again.
            Nothing was sent.
          </Text>
          <Lines text={made.link ?? ""} label="the link" wrapped />
          <Button onClick={onClose}>Done</Button>
        </Stack>
      ) : (
        <form onSubmit={submit}>
          <Stack>
            <TextInput
              label="E-mail address"
              type="email"
              required
              data-autofocus
              value={email}
              onChange={(event) => setEmail(event.currentTarget.value)}
            />
            <RoleSelect value={role} onChange={setRole} />
            {create.error && <ErrorNotice error={create.error} />}
            <Group justify="flex-end">
              <Button variant="default" onClick={onClose}>
                Cancel
              </Button>
              <Button type="submit" loading={create.isPending}>
                Create the invite
              </Button>
            </Group>
          </Stack>
        </form>
      )}
    </Window>
  );
}
