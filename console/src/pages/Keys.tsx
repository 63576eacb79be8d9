import { Badge, Button, Select } from "@mantine/core";
import { getRouteApi } from "@tanstack/react-router";
import { useState } from "react";
import { useUserName, useUsersById, useWorkspaceName } from "../api/queries.ts";
import type { Key, KeyStatus, KeyWithSecret } from "../api/types.ts";
import { isFiltered } from "../rules/listing.ts";
import { KEY_STATUSES, keysSearch } from "../rules/searches.ts";
import { useCan, useSession } from "../session.tsx";
import { Filter } from "../ui/Filter.tsx";
import { Empty, Loaded } from "../ui/notices.tsx";
import { Pager } from "../ui/Pager.tsx";
import { Head, Time } from "../ui/parts.tsx";
import { type Column, type Sorting, Table } from "../ui/Table.tsx";
import { useListing } from "../ui/useListing.ts";
import { WorkspaceFilter } from "../ui/WorkspaceFilter.tsx";
import { KeyMenu } from "./keys/actions.tsx";
import { CreateKey } from "./keys/CreateKey.tsx";
import { Secret } from "./keys/Secret.tsx";

const route = getRouteApi("/signed-in/keys");
const COLORS: Record<KeyStatus, string> = {
  active: "green",
  inactive: "yellow",
  expired: "gray",
  archived: "gray",
};

/** The page of API keys: what they are, when they were used, and all that can be done with them. */
export function Keys() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const can = useCan();
  const { user } = useSession();
  const creatorId = search.creator ?? user.id;
  const others = useUsersById(creatorId === user.id ? [] : [creatorId]);
  const creators = [
    { value: user.id, label: "You" },
    ...(creatorId === user.id
      ? []
      : [{ value: creatorId, label: others.get(creatorId)?.name ?? creatorId }]),
  ];
  const [creating, setCreating] = useState(false);
  const [made, setMade] = useState<{ key: KeyWithSecret; limitFault: Error | null } | null>(null);
  const {
    page: keys,
    narrow,
    sorting,
  } = useListing<Key>({
    of: ["keys"],
    path: "/v1/organizations/api_keys",
    search,
    onSearch: (next) => void navigate({ search: keysSearch({ ...next }) }),
    order: "-created_at",
    filters: {
      status: search.status,
      workspace_id: search.workspace,
      created_by_user_id: search.creator,
    },
  });
  const create = can("keys.write") && <Button onClick={() => setCreating(true)}>Create key</Button>;
  return (
    <>
      <Head title="API keys" actions={create}>
        A program sends its key with each request. The key decides the workspace, and what may be
        spent.
      </Head>
      <div className="filters">
        <Filter label="Name or hint" value={search.q} onChange={(q) => narrow({ q })} />
        <Select
          label="Status"
          placeholder="All"
          clearable
          clearButtonProps={{ "aria-label": "Show all statuses" }}
          data={KEY_STATUSES.map((status) => ({ value: status, label: titled(status) }))}
          value={search.status ?? null}
          onChange={(status) => narrow({ status })}
        />
        <WorkspaceFilter value={search.workspace} onChange={(workspace) => narrow({ workspace })} />
        <Select
          label="Created by"
          placeholder="Anybody"
          clearable
          clearButtonProps={{ "aria-label": "Show the keys of everybody" }}
          data={creators}
          value={search.creator ?? null}
          onChange={(creator) => narrow({ creator })}
        />
      </div>
      <Loaded query={keys} what="the keys">
        {(page) =>
          page.data.length ? (
            <>
              <KeyTable
                keys={page.data}
                sorting={sorting}
                onSecret={(key) => setMade({ key, limitFault: null })}
              />
              <Pager page={page} search={search} onMove={narrow} />
            </>
          ) : isFiltered(search) ? (
            <Empty
              title="No key matches"
              action={
                <Button variant="default" onClick={() => void navigate({ search: {} })}>
                  Show all keys
                </Button>
              }
            >
              No key fits all these filters. Part of the name is enough, in any case.
            </Empty>
          ) : (
            <Empty title="No keys yet" action={create}>
              Create the first key, copy it once, and give it to the program that will use it.
            </Empty>
          )
        }
      </Loaded>
      {creating && (
        <CreateKey
          onClose={() => setCreating(false)}
          onCreated={(key, limitFault) => {
            setCreating(false);
            setMade({ key, limitFault });
          }}
        />
      )}
      {made && (
        <Secret made={made.key} limitFault={made.limitFault} onClose={() => setMade(null)} />
      )}
    </>
  );
}

function KeyTable({
  keys,
  sorting,
  onSecret,
}: {
  keys: Key[];
  sorting: Sorting;
  onSecret: (key: KeyWithSecret) => void;
}) {
  const can = useCan();
  const workspaceName = useWorkspaceName();
  const userName = useUserName(keys.map((key) => key.created_by?.id ?? null));
  const columns: Column<Key>[] = [
    {
      title: "Name",
      sort: "name",
      cell: (key) => (
        <>
          <span className="name" title={key.name}>
            {key.name}
          </span>
          <div className="under mono">{key.partial_key_hint}</div>
        </>
      ),
    },
    {
      title: "Workspace",
      rest: true,
      cell: ({ scope }) => {
        const name =
          scope.type === "workspace" ? workspaceName(scope.workspace_id) : "All (organization)";
        return <span title={name}>{name}</span>;
      },
    },
    {
      title: "Status",
      cell: (key) => (
        <Badge variant="light" color={COLORS[key.status]} tt="none" fw={500}>
          {titled(key.status)}
        </Badge>
      ),
    },
    {
      title: "Last used",
      sort: "last_used_at",
      cell: (key) => (key.last_used_at ? <Time at={key.last_used_at} relative /> : "Never"),
    },
    {
      title: "Expires",
      sort: "expires_at",
      cell: (key) => (key.expires_at ? <Time at={key.expires_at} relative /> : "Never"),
    },
    {
      title: "Created",
      sort: "created_at",
      cell: (key) => (
        <>
          <Time at={key.created_at} relative />
          {key.created_by && <div className="under">by {userName(key.created_by.id)}</div>}
        </>
      ),
    },
  ];
  if (can("keys.write")) {
    columns.push({
      title: "Actions",
      stays: true,
      cell: (key) => (key.status === "archived" ? null : <KeyMenu of={key} onSecret={onSecret} />),
    });
  }
  return (
    <Table
      caption="API keys"
      columns={columns}
      rows={keys}
      keyOf={(key) => key.id}
      sorting={sorting}
    />
  );
}

function titled(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
