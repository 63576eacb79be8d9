import { Badge, Button, ColorInput, Switch, TextInput } from "@mantine/core";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useState } from "react";
import { ask } from "../api/client.ts";
import type { Workspace } from "../api/types.ts";
import { workspacesSearch } from "../rules/searches.ts";
import { useCan } from "../session.tsx";
import { Dialog } from "../ui/Dialog.tsx";
import { Filter } from "../ui/Filter.tsx";
import { Empty, Loaded } from "../ui/notices.tsx";
import { Pager } from "../ui/Pager.tsx";
import { Head, Time } from "../ui/parts.tsx";
import { type Sorting, Table } from "../ui/Table.tsx";
import { useListing } from "../ui/useListing.ts";

const route = getRouteApi("/signed-in/workspaces");
const COLORS = ["#6c5bb9", "#1971c2", "#0c8599", "#2f9e44", "#e8590c", "#c2255c"];

/** The parts of the organization, each with keys, limits and members of its own. */
export function Workspaces() {
  const can = useCan();
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const {
    page: workspaces,
    narrow,
    sorting,
  } = useListing<Workspace>({
    of: ["workspaces", "page"],
    path: "/v1/organizations/workspaces",
    search,
    onSearch: (next) => void navigate({ search: workspacesSearch({ ...next }) }),
    order: "-created_at",
    filters: { include_archived: search.archived === true, include_default: true },
  });
  const [creating, setCreating] = useState(false);
  const create = can("workspaces.write") && (
    <Button onClick={() => setCreating(true)}>Create workspace</Button>
  );
  return (
    <>
      <Head title="Workspaces" actions={create}>
        A workspace has keys, limits, members and batches of its own. What one has cached, no other
        reads.
      </Head>
      <div className="filters">
        <Filter value={search.q} onChange={(q) => narrow({ q })} />
        <Switch
          label="Show archived"
          mb={8}
          checked={search.archived === true}
          onChange={(event) => narrow({ archived: event.currentTarget.checked || undefined })}
        />
      </div>
      <Loaded query={workspaces} what="the workspaces">
        {(page) =>
          page.data.length ? (
            <>
              <WorkspaceTable workspaces={page.data} sorting={sorting} />
              <Pager page={page} search={search} onMove={narrow} />
            </>
          ) : search.q ? (
            <Empty
              title="No workspace matches"
              action={
                <Button variant="default" onClick={() => void navigate({ search: {} })}>
                  Show all workspaces
                </Button>
              }
            >
              Part of the name is enough, in any case. Archived workspaces are hidden at first.
            </Empty>
          ) : (
            <Empty title="No workspaces" action={create}>
              Create one for each team or product whose use you want to see by itself.
            </Empty>
          )
        }
      </Loaded>
      {creating && <CreateWorkspace onClose={() => setCreating(false)} />}
    </>
  );
}

function WorkspaceTable({ workspaces, sorting }: { workspaces: Workspace[]; sorting: Sorting }) {
  return (
    <Table
      caption="Workspaces"
      rows={workspaces}
      keyOf={(each) => each.id}
      sorting={sorting}
      columns={[
        {
          title: "Name",
          sort: "name",
          cell: (each) => (
            <Link to="/workspaces/$workspace" params={{ workspace: each.id }} className="entry">
              <svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">
                <circle cx="6" cy="6" r="6" fill={each.display_color} />
              </svg>
              <span className="name">{each.name}</span>
            </Link>
          ),
        },
        { title: "Id", cell: (each) => <span className="mono">{each.id}</span> },
        {
          title: "Status",
          cell: (each) => (
            <Badge variant="light" color={each.archived_at ? "gray" : "green"} tt="none" fw={500}>
              {each.archived_at ? "Archived" : "Active"}
            </Badge>
          ),
        },
        {
          title: "Created",
          sort: "created_at",
          cell: (each) => <Time at={each.created_at} relative />,
        },
      ]}
    />
  );
}

function CreateWorkspace({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState("");
  const [color, setColor] = useState(COLORS[0] ?? "");
  const send = () =>
    ask("POST", "/v1/organizations/workspaces", {
      body: { name: name.trim(), ...(color ? { display_color: color } : {}) },
    });
  return (
    <Dialog
      title="Create a workspace"
      verb="Create workspace"
      send={send}
      changes={[["workspaces"], ["session"]]}
      onClose={onClose}
    >
      <TextInput
        label="Name"
        required
        maxLength={40}
        data-autofocus
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <ColorInput
        label="Colour"
        withEyeDropper={false}
        withPicker={false}
        swatches={COLORS}
        value={color}
        onChange={setColor}
      />
    </Dialog>
  );
}
