import { Button, Group, TextInput } from "@mantine/core";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { ask } from "../api/client.ts";
import type { AuditEntry, TokenListing } from "../api/types.ts";
import { differences, inWords } from "../rules/audit.ts";
import { auditSearch } from "../rules/searches.ts";
import { Empty, Loaded } from "../ui/notices.tsx";
import { Head, Time } from "../ui/parts.tsx";
import { Table } from "../ui/Table.tsx";

const route = getRouteApi("/signed-in/audit");
/** A change of more values is shown when it is asked for. */
const FEW = 2;

/** Who changed what, newest first. */
export function Audit() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const [object, setObject] = useState(search.object ?? "");
  const log = useQuery({
    queryKey: ["audit", search],
    queryFn: ({ signal }) =>
      ask<TokenListing<AuditEntry>>("GET", "/v1/organizations/audit_log", {
        query: { limit: 50, object_id: search.object, page: search.page },
        signal,
      }),
    placeholderData: keepPreviousData,
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void navigate({ search: auditSearch({ object: object.trim() }) });
  };
  return (
    <>
      <Head title="Audit log">
        Every change of keys, people, workspaces and limits, with who made it. It never has a
        secret.
      </Head>
      <form onSubmit={submit} className="filters fields">
        <TextInput
          label="Only changes of"
          placeholder="An id, such as apikey_…"
          value={object}
          onChange={(event) => setObject(event.currentTarget.value)}
        />
        <Button type="submit" variant="default" w="auto">
          Show
        </Button>
      </form>
      <Loaded query={log} what="the audit log">
        {(page) => (
          <>
            {page.data.length ? (
              <Table
                caption="Changes"
                rows={page.data}
                keyOf={(entry) => entry.id}
                columns={[
                  { title: "When", cell: (entry) => <Time at={entry.created_at} relative /> },
                  { title: "What", cell: (entry) => inWords(entry.action) },
                  { title: "Of", cell: (entry) => <Id id={entry.object.id} /> },
                  { title: "By", cell: ({ actor }) => <Actor {...actor} /> },
                  { title: "Changed", wide: true, cell: (entry) => <Changed entry={entry} /> },
                  {
                    title: "Request",
                    cell: (entry) => (entry.request_id ? <Id id={entry.request_id} /> : "–"),
                  },
                ]}
              />
            ) : (
              <Empty title="No changes">Nothing was changed here, or the id is another one.</Empty>
            )}
            <Group justify="space-between" mt="md">
              {search.page ? (
                <Button
                  size="xs"
                  variant="default"
                  onClick={() => void navigate({ search: auditSearch({ object: search.object }) })}
                >
                  Newest
                </Button>
              ) : (
                <span />
              )}
              {page.next_page && (
                <Button
                  size="xs"
                  variant="default"
                  onClick={() =>
                    void navigate({
                      search: auditSearch({ object: search.object, page: page.next_page }),
                    })
                  }
                >
                  Older
                </Button>
              )}
            </Group>
          </>
        )}
      </Loaded>
    </>
  );
}

function Id({ id }: { id: string }) {
  return (
    <span className="mono name" title={id}>
      {id}
    </span>
  );
}

function Actor({ type, id }: { type: string; id?: string }) {
  return (
    <>
      {inWords(type)} {id && <Id id={id} />}
    </>
  );
}

function Changed({ entry }: { entry: AuditEntry }) {
  const found = differences(entry.before, entry.after);
  if (!found.length) return <>–</>;
  const list = (
    <ul className="plain">
      {found.map(({ name, before, after }) => (
        <li key={name}>
          {name.replaceAll("_", " ")}: {before !== null && <s>{before}</s>} {after}
        </li>
      ))}
    </ul>
  );
  if (found.length <= FEW) return list;
  return (
    <details>
      <summary>{found.length} values</summary>
      {list}
    </details>
  );
}
