import { Button, Group, Menu, Select, Text, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useState } from "react";
import { ask } from "../api/client.ts";
import { useUserName, useUserNames, useUsersById } from "../api/queries.ts";
import type { UserName, WorkspaceRole, Workspace as WorkspaceType } from "../api/types.ts";
import { choices } from "../rules/people.ts";
import { roleName, WORKSPACE_ROLES } from "../rules/roles.ts";
import { workspaceSearch } from "../rules/searches.ts";
import { useCan, useSession } from "../session.tsx";
import { Dialog } from "../ui/Dialog.tsx";
import { Filter } from "../ui/Filter.tsx";
import { Empty, Loaded } from "../ui/notices.tsx";
import { Pager } from "../ui/Pager.tsx";
import { Head, Time } from "../ui/parts.tsx";
import { RowMenu } from "../ui/Shell.tsx";
import { type Column, Table } from "../ui/Table.tsx";
import { useListing } from "../ui/useListing.ts";
import { OwnRates } from "./limits/OwnRates.tsx";

const route = getRouteApi("/signed-in/workspaces/$workspace");
const PATH = "/v1/organizations/workspaces";
const ROLE_CHOICES = WORKSPACE_ROLES.map(([value, label]) => ({ value, label }));

/** Of so many people the addresses are asked for at once. */
const MOST_ADDRESSES = 300;

interface Member {
  user_id: string;
  workspace_id: string;
  workspace_role: WorkspaceRole;
}

/** One workspace: its members, its limits, and the ways to its keys and its usage. */
export function Workspace() {
  const { workspace: id } = route.useParams();
  const workspace = useQuery({
    queryKey: ["workspaces", id],
    queryFn: ({ signal }) => ask<WorkspaceType>("GET", `${PATH}/${id}`, { signal }),
  });
  return (
    <Loaded query={workspace} what="the workspace">
      {(found) => <Found workspace={found} />}
    </Loaded>
  );
}

function Found({ workspace }: { workspace: WorkspaceType }) {
  const can = useCan();
  const { workspaces } = useSession();
  const isDefault = workspace.name === "Default";
  const own = workspaces.find(({ id }) => id === workspace.id);
  const leads = can("members.write") || own?.workspace_role === "workspace_admin";
  const changed = can("workspaces.write") && !isDefault && !workspace.archived_at;
  return (
    <>
      <Head title={workspace.name} actions={changed && <WorkspaceActions workspace={workspace} />}>
        {workspace.archived_at ? (
          <>
            Archived <Time at={workspace.archived_at} relative />: its keys work no more.
          </>
        ) : (
          <span className="mono">{workspace.id}</span>
        )}
      </Head>
      <Group mb="lg">
        {can("keys.read") && (
          <Link to="/keys" search={{ workspace: workspace.id }}>
            Its API keys
          </Link>
        )}
        {can("usage.read") && (
          <Link to="/usage" search={{ workspace: workspace.id }}>
            Its usage
          </Link>
        )}
        {can("batches.use") && (
          <Link to="/batches" search={{ workspace: workspace.id }}>
            Its batches
          </Link>
        )}
      </Group>
      {isDefault ? (
        <Text size="sm" c="dimmed">
          Everybody is in the Default workspace. It cannot be renamed, archived or limited.
        </Text>
      ) : (
        <>
          {can("workspace_members.read") && leads && (
            <Members workspace={workspace} changed={!workspace.archived_at} />
          )}
          {can("limits.read") && (
            <>
              <h2 className="section">Rate limits</h2>
              <Text size="sm" c="dimmed" mb="sm">
                A limit of the workspace holds beside the organization’s, and cannot be above it.
              </Text>
              <OwnRates scope={{ type: "workspace", workspace_id: workspace.id }} />
            </>
          )}
        </>
      )}
    </>
  );
}

function WorkspaceActions({ workspace }: { workspace: WorkspaceType }) {
  const [action, setAction] = useState<"rename" | "archive" | null>(null);
  const [name, setName] = useState(workspace.name);
  const close = () => setAction(null);
  const changes = [["workspaces"], ["session"], ["keys"]];
  return (
    <>
      <Button variant="default" onClick={() => setAction("rename")}>
        Rename
      </Button>
      <Button variant="default" onClick={() => setAction("archive")}>
        Archive
      </Button>
      {action === "rename" && (
        <Dialog
          title="Rename the workspace"
          verb="Rename"
          send={() => ask("POST", `${PATH}/${workspace.id}`, { body: { name: name.trim() } })}
          changes={changes}
          onClose={close}
        >
          <TextInput
            label="Name"
            required
            maxLength={40}
            data-autofocus
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
          />
        </Dialog>
      )}
      {action === "archive" && (
        <Dialog
          title={`Archive “${workspace.name}”?`}
          verb="Archive"
          danger
          send={() => ask("POST", `${PATH}/${workspace.id}/archive`, { body: {} })}
          changes={changes}
          onClose={close}
        >
          <Text size="sm">
            All its keys are archived, and its batches canceled, for ever. Its usage stays in the
            reports.
          </Text>
        </Dialog>
      )}
    </>
  );
}

function Members({ workspace, changed }: { workspace: WorkspaceType; changed: boolean }) {
  const path = `${PATH}/${workspace.id}/members`;
  const [adding, setAdding] = useState(false);
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const {
    page: members,
    narrow,
    sorting,
  } = useListing<Member>({
    of: ["members", workspace.id],
    path,
    search,
    onSearch: (next) => void navigate({ search: workspaceSearch({ ...next }) }),
    order: "-added_at",
  });
  const can = useCan();
  const names = useUserNames(adding);
  const shown = (members.data?.data ?? []).map((member) => member.user_id);
  const users = useUsersById(shown);
  const addresses = new Map([...users].map(([id, { email }]) => [id, email]));
  const userName = useUserName(shown);
  const columns: Column<Member>[] = [
    {
      title: "Name",
      cell: (member) => <span className="name">{userName(member.user_id)}</span>,
    },
    { title: "Role here", cell: (member) => roleName(member.workspace_role) },
  ];
  if (can("members.read")) {
    columns.splice(1, 0, {
      title: "E-mail address",
      cell: (member) => addresses.get(member.user_id) ?? "–",
    });
  }
  if (changed) {
    columns.push({
      title: "Actions",
      stays: true,
      cell: (member) => <MemberMenu member={member} name={userName(member.user_id)} />,
    });
  }
  return (
    <>
      <Group justify="space-between" align="flex-end">
        <h2 className="section">Members</h2>
        {changed && (
          <Button mb="sm" variant="default" onClick={() => setAdding(true)}>
            Add a member
          </Button>
        )}
      </Group>
      <div className="filters">
        <Filter
          label={can("members.read") ? "Name or address" : "Name"}
          value={search.q}
          onChange={(q) => narrow({ q })}
        />
      </div>
      <Loaded query={members} what="the members">
        {(page) =>
          page.data.length ? (
            <>
              <Table
                caption="Members"
                columns={columns}
                rows={page.data}
                keyOf={(member) => member.user_id}
                sorting={sorting}
              />
              <Pager page={page} search={search} onMove={narrow} />
            </>
          ) : search.q ? (
            <Text size="sm" c="dimmed">
              No member of this workspace has such a name or address.
            </Text>
          ) : (
            <Empty title="No members">
              Administrators work here all the same. Add the people who should have keys here.
            </Empty>
          )
        }
      </Loaded>
      {adding && (
        <AddMember
          path={path}
          others={(names.data ?? []).filter(
            ({ id }) => !members.data?.data.some((member) => member.user_id === id),
          )}
          onClose={() => setAdding(false)}
        />
      )}
    </>
  );
}

function AddMember({
  path,
  others,
  onClose,
}: {
  path: string;
  others: readonly UserName[];
  onClose: () => void;
}) {
  // Beyond some hundreds the end of an id has to tell people of one name apart.
  const users = useUsersById(others.slice(0, MOST_ADDRESSES).map(({ id }) => id));
  const people = choices(others, new Map([...users].map(([id, { email }]) => [id, email])));
  const [user, setUser] = useState<string | null>(null);
  const [role, setRole] = useState<string>("workspace_developer");
  const send = () => ask("POST", path, { body: { user_id: user, workspace_role: role } });
  return (
    <Dialog
      title="Add a member"
      verb="Add"
      disabled={!user}
      send={send}
      changes={[["members"], ["session"]]}
      onClose={onClose}
    >
      <Select
        label="Person"
        searchable
        nothingFoundMessage="Nobody else is in the organization"
        data={people}
        value={user}
        onChange={setUser}
      />
      <Select
        label="Role here"
        allowDeselect={false}
        data={ROLE_CHOICES}
        value={role}
        onChange={(chosen) => setRole(chosen ?? role)}
      />
    </Dialog>
  );
}

function MemberMenu({ member, name }: { member: Member; name: string }) {
  const path = `${PATH}/${member.workspace_id}/members/${member.user_id}`;
  const [action, setAction] = useState<"role" | "remove" | null>(null);
  const [role, setRole] = useState<string>(member.workspace_role);
  const close = () => setAction(null);
  return (
    <>
      <RowMenu label={`Actions for ${name}`}>
        <Menu.Item onClick={() => setAction("role")}>Change the role</Menu.Item>
        <Menu.Item className="danger" onClick={() => setAction("remove")}>
          Remove
        </Menu.Item>
      </RowMenu>
      {action === "role" && (
        <Dialog
          title={`The role of ${name} here`}
          verb="Change the role"
          disabled={role === member.workspace_role}
          send={() => ask("POST", path, { body: { workspace_role: role } })}
          changes={[["members"], ["session"]]}
          onClose={close}
        >
          <Select
            label="Role here"
            allowDeselect={false}
            data={ROLE_CHOICES}
            value={role}
            onChange={(chosen) => setRole(chosen ?? role)}
          />
        </Dialog>
      )}
      {action === "remove" && (
        <Dialog
          title={`Remove ${name} from this workspace?`}
          verb="Remove"
          danger
          send={() => ask("DELETE", path)}
          changes={[["members"], ["session"]]}
          onClose={close}
        >
          <Text size="sm">
            They stay a member of the organization. Keys that they created go on working.
          </Text>
        </Dialog>
      )}
    </>
  );
}
