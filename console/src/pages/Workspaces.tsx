import { Badge, Button, ColorInput, Switch, TextInput } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { ask } from "../api/client.ts";
import { useWorkspaces } from "../api/queries.ts";
import type { Workspace } from "../api/types.ts";
import { useCan } from "../session.tsx";
import { Dialog } from "../ui/Dialog.tsx";
import { Empty, Loaded } from "../ui/notices.tsx";
import { Head, Time } from "../ui/parts.tsx";
import { Table } from "../ui/Table.tsx";

const COLORS = ["#6c5bb9", "#1971c2", "#0c8599", "#2f9e44", "#e8590c", "#c2255c"];

/** The parts of the organization, each with keys, limits and members of its own. */
export function Workspaces() {
  const can = useCan();
  const workspaces = useWorkspaces();
  const [creating, setCreating] = useState(false);
  const [archived, setArchived] = useState(false);
  const create = can("workspaces.write") && (
    <Button onClick={() => setCreating(true)}>Create workspace</Button>
  );
  return (
    <>
      <Head title="Workspaces" actions={create}>
        A workspace has keys, limits, members and batches of its own. What one has cached, no other
        reads.
      </Head>
      <Switch
        mb="md"
        label="Show archived workspaces"
        checked={archived}
        onChange={(event) => setArchived(event.currentTarget.checked)}
      />
      <Loaded query={workspaces} what="the workspaces">
        {(found) => {
          const shown = found.filter((each) => archived || each.archived_at === null);
          return shown.length ? (
            <WorkspaceTable workspaces={shown} />
          ) : (
            <Empty title="No workspaces" action={create}>
              Create one for each team or product whose use you want to see by itself.
            </Empty>
          );
        }}
      </Loaded>
      {creating && <CreateWorkspace onClose={() => setCreating(false)} />}
    </>
  );
}

function WorkspaceTable({ workspaces }: { workspaces: Workspace[] }) {
  return (
    <Table
      caption="Workspaces"
      rows={workspaces}
      keyOf={(each) => each.id}
      columns={[
        {
          title: "Name",
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
        { title: "Created", cell: (each) => each.created_at && <Time at={each.created_at} /> },
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
