import { Button, Select, TextInput } from "@mantine/core";
import { getRouteApi, Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useNamesOfKeys, useUsersById, useWorkspaceName } from "../api/queries.ts";
import type { AuditEntry } from "../api/types.ts";
import {
  ACTIONS,
  actorName,
  differences,
  isAlone,
  type Named,
  objectOf,
  verbOf,
} from "../rules/audit.ts";
import { dayAfter } from "../rules/drill.ts";
import { PAGE_ROWS } from "../rules/listing.ts";
import { auditSearch } from "../rules/searches.ts";
import { Filter } from "../ui/Filter.tsx";
import { Empty, Loaded } from "../ui/notices.tsx";
import { TokenPager } from "../ui/Pager.tsx";
import { Head, Id, Time } from "../ui/parts.tsx";
import { Table } from "../ui/Table.tsx";
import { useTokenListing } from "../ui/useListing.ts";

const route = getRouteApi("/signed-in/audit");
const NEWEST = "-at";
/** A change of more values is shown when it is asked for. */
const FEW = 2;

/** Who changed what. */
export function Audit() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const log = useTokenListing<AuditEntry>(["audit"], "/v1/organizations/audit_log", {
    limit: PAGE_ROWS,
    object_id: search.object,
    actor_id: search.actor,
    action: search.action,
    starting_at: search.from && `${search.from}T00:00:00Z`,
    // The page names the last day, and the API the moment after it.
    ending_at: search.to && `${dayAfter(search.to)}T00:00:00Z`,
    order: search.sort === "at" ? "asc" : "desc",
    page: search.page,
  });
  const { page: _page, ...first } = search;
  const narrow = (change: object) =>
    void navigate({ search: auditSearch({ ...first, ...change }) });
  return (
    <>
      <Head title="Audit log">
        Every change of keys, people, workspaces and limits, with who made it. It never has a
        secret.
      </Head>
      <div className="filters">
        <Filter
          label="Changes of"
          placeholder="An id: apikey_…"
          value={search.object}
          onChange={(object) => narrow({ object })}
        />
        <Filter
          label="Made by"
          placeholder="An id: user_…"
          value={search.actor}
          onChange={(actor) => narrow({ actor })}
        />
        <Select
          label="What"
          placeholder="Everything"
          clearable
          searchable
          clearButtonProps={{ "aria-label": "Show all kinds of changes" }}
          data={Object.keys(ACTIONS).map((action) => ({ value: action, label: titled(action) }))}
          value={search.action ?? null}
          onChange={(action) => narrow({ action })}
        />
        <TextInput
          type="date"
          label="From (UTC)"
          value={search.from ?? ""}
          onChange={(event) => narrow({ from: event.currentTarget.value })}
        />
        <TextInput
          type="date"
          label="To (UTC)"
          min={search.from}
          value={search.to ?? ""}
          onChange={(event) => narrow({ to: event.currentTarget.value })}
        />
      </div>
      <Loaded query={log} what="the audit log">
        {(page) => (
          <>
            {page.data.length ? (
              <Changes entries={page.data} onOrder={(sort) => narrow({ sort })} />
            ) : (
              <Empty
                title="No changes"
                action={
                  Object.keys(search).length > 0 && (
                    <Button variant="default" onClick={() => void navigate({ search: {} })}>
                      Show all changes
                    </Button>
                  )
                }
              >
                Nothing was changed in this way, or an id is another one.
              </Empty>
            )}
            <TokenPager
              page={search.page}
              next={page.next_page}
              onMove={(token) => narrow({ page: token })}
            />
          </>
        )}
      </Loaded>
    </>
  );
}

function Changes({
  entries,
  onOrder,
}: {
  entries: AuditEntry[];
  onOrder: (order: string) => void;
}) {
  const search = route.useSearch();
  const objects = entries.map(objectOf);
  const users = useUsersById([
    ...entries.flatMap(({ actor }) => (actor.type === "user" && actor.id ? [actor.id] : [])),
    ...objects.flatMap(({ kind, id }) => (kind === "user" ? [id] : [])),
  ]);
  const keys = useNamesOfKeys(objects.flatMap(({ kind, id }) => (kind === "key" ? [id] : [])));
  const workspaceName = useWorkspaceName();
  const named = ({ name, id, kind }: Named): ReactNode => {
    if (kind === "workspace") {
      const known = workspaceName(id);
      return (
        <Link to="/workspaces/$workspace" params={{ workspace: id }}>
          {known === id ? name : known}
        </Link>
      );
    }
    if (kind === "key") {
      const known = keys.get(id) ?? name;
      return (
        <Link to="/keys" search={{ q: known }}>
          {known}
        </Link>
      );
    }
    if (kind !== "user") return name;
    const user = users.get(id);
    if (!user) return name;
    return (
      <Link to="/members" search={{ q: user.email }}>
        {user.name}
      </Link>
    );
  };
  const actor = ({ type, id }: AuditEntry["actor"]) =>
    id && users.has(id) ? named({ name: id, id, kind: "user" }) : actorName(type);
  return (
    <Table
      caption="Changes"
      rows={entries}
      keyOf={(entry) => entry.id}
      sorting={{ order: search.sort ?? NEWEST, onOrder }}
      columns={[
        {
          title: "When",
          sort: "at",
          cell: (entry) => <Time at={entry.created_at} relative />,
        },
        {
          title: "What happened",
          wide: true,
          cell: (entry) => (
            <>
              {actor(entry.actor)} {verbOf(entry)}
              {!isAlone(entry) && <> {named(objectOf(entry))}</>}
              <Changed entry={entry} />
            </>
          ),
        },
        { title: "Ids", cell: (entry) => <Ids entry={entry} /> },
      ]}
    />
  );
}

/** Of what, by whom, and in which request: what to search for elsewhere. */
function Ids({ entry }: { entry: AuditEntry }) {
  const ids = [
    ["Of", entry.object.id],
    ["By", entry.actor.id],
    ["In", entry.request_id],
  ] as const;
  return (
    <ul className="plain ids">
      {ids.map(
        ([name, id]) =>
          id && (
            <li key={name}>
              <span>{name}</span> <Id id={id} />
            </li>
          ),
      )}
    </ul>
  );
}

function Changed({ entry }: { entry: AuditEntry }) {
  const found = differences(entry.before, entry.after);
  // The sentence says that a thing is new or gone: its values are a click away.
  const few = entry.before && entry.after && found.length <= FEW;
  if (!found.length) return null;
  const list = (
    <ul className="plain values">
      {found.map(({ name, before, after }) => (
        <li key={name}>
          {name}: {before !== null && <s>{before}</s>} {after ?? (before === null ? "" : "none")}
        </li>
      ))}
    </ul>
  );
  if (few) return list;
  return (
    <details>
      <summary>{found.length === 1 ? "1 value" : `${found.length} values`}</summary>
      {list}
    </details>
  );
}

function titled(action: string): string {
  const words = (ACTIONS[action] ?? action).replace(/ (the|of|to|as|a)$/, "");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
