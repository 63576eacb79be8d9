import { Badge, Group, Menu, Progress, Select, Text } from "@mantine/core";
import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useState } from "react";
import { ask, send } from "../api/client.ts";
import type { Batch, Listing } from "../api/types.ts";
import { batchProgress, outcomesOf, requestsOf } from "../rules/batches.ts";
import { batchesSearch } from "../rules/searches.ts";
import { useSession } from "../session.tsx";
import { Dialog } from "../ui/Dialog.tsx";
import { saveStream } from "../ui/download.ts";
import { Empty, ErrorNotice, Loaded } from "../ui/notices.tsx";
import { Pager } from "../ui/Pager.tsx";
import { Head, Time } from "../ui/parts.tsx";
import { RowMenu } from "../ui/Shell.tsx";
import { type Column, Table } from "../ui/Table.tsx";

const route = getRouteApi("/signed-in/batches");
const PATH = "/v1/messages/batches";
const PAGE_ROWS = 25;
const LIVE_MS = 2000;
const CALM_MS = 30_000;
const STATUSES = {
  in_progress: ["In progress", "indigo"],
  canceling: ["Canceling", "yellow"],
  ended: ["Ended", "gray"],
} as const;

/** Message Batches of a workspace: their progress, and what can be done with them. */
export function Batches() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const { workspaces } = useSession();
  const workspace =
    search.workspace ?? (workspaces.find((each) => each.is_default) ?? workspaces[0])?.id;
  const batches = useQuery({
    queryKey: ["batches", workspace, search],
    queryFn: ({ signal }) =>
      ask<Listing<Batch>>("GET", PATH, {
        query: { limit: PAGE_ROWS, after_id: search.after, before_id: search.before },
        workspace,
        signal,
      }),
    placeholderData: keepPreviousData,
    refetchInterval: ({ state }) =>
      state.data?.data.some((batch) => batch.processing_status !== "ended") ? LIVE_MS : CALM_MS,
  });
  return (
    <>
      <Head title="Batches">
        Many requests at half the price, answered while the models are idle. A batch is created by a
        program, or with <code>antiphon batches create</code>.
      </Head>
      {workspaces.length > 1 && (
        <div className="filters">
          <Select
            label="Workspace"
            allowDeselect={false}
            data={workspaces.map(({ id, name }) => ({ value: id, label: name }))}
            value={workspace ?? null}
            onChange={(chosen) => void navigate({ search: batchesSearch({ workspace: chosen }) })}
          />
        </div>
      )}
      <Loaded query={batches} what="the batches">
        {(page) =>
          page.data.length ? (
            <BatchTable page={page} workspace={workspace} />
          ) : (
            <Empty title="No batches in this workspace">
              Send up to 100,000 requests in one call to /v1/messages/batches. Their progress and
              their results appear here.
            </Empty>
          )
        }
      </Loaded>
    </>
  );
}

function BatchTable({ page, workspace }: { page: Listing<Batch>; workspace: string | undefined }) {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const columns: Column<Batch>[] = [
    { title: "Batch", cell: (batch) => <span className="mono">{batch.id}</span> },
    {
      title: "Status",
      cell: ({ processing_status }) => (
        <Badge variant="light" color={STATUSES[processing_status][1]} tt="none" fw={500}>
          {STATUSES[processing_status][0]}
        </Badge>
      ),
    },
    { title: "Progress", cell: (batch) => <BatchProgress batch={batch} /> },
    { title: "Requests", cell: (batch) => `${requestsOf(batch)}`, number: true },
    { title: "Results", cell: (batch) => outcomesOf(batch) || "–", lines: true },
    { title: "Created", cell: (batch) => <Time at={batch.created_at} relative /> },
    {
      title: "Ended",
      cell: (batch) => (batch.ended_at ? <Time at={batch.ended_at} relative /> : "–"),
    },
    {
      title: "Actions",
      stays: true,
      cell: (batch) => <BatchMenu batch={batch} workspace={workspace} />,
    },
  ];
  return (
    <>
      <Table caption="Batches" columns={columns} rows={page.data} keyOf={(batch) => batch.id} />
      <Pager
        page={page}
        search={search}
        onMove={(move) =>
          void navigate({ search: batchesSearch({ workspace: search.workspace, ...move }) })
        }
      />
    </>
  );
}

function BatchProgress({ batch }: { batch: Batch }) {
  const done = batchProgress(batch);
  return (
    <Group gap="xs" wrap="nowrap">
      <Progress value={done * 100} w={56} color="indigo" aria-label={`Progress of ${batch.id}`} />
      <Text size="sm">{Math.floor(done * 100)} %</Text>
    </Group>
  );
}

function BatchMenu({ batch, workspace }: { batch: Batch; workspace: string | undefined }) {
  const [action, setAction] = useState<"cancel" | "delete" | null>(null);
  const queries = useQueryClient();
  const path = `${PATH}/${batch.id}`;
  const download = useMutation({
    mutationFn: () =>
      saveStream(`${batch.id}.jsonl`, () => send("GET", `${path}/results`, { workspace })),
    onError: () => queries.invalidateQueries({ queryKey: ["batches"] }),
  });
  const ended = batch.processing_status === "ended";
  const close = () => setAction(null);
  return (
    <>
      <RowMenu label={`Actions for ${batch.id}`}>
        <Menu.Item disabled={!batch.results_url} onClick={() => download.mutate()}>
          Download the results
        </Menu.Item>
        {!ended && <Menu.Item onClick={() => setAction("cancel")}>Cancel</Menu.Item>}
        {ended && (
          <Menu.Item className="danger" onClick={() => setAction("delete")}>
            Delete
          </Menu.Item>
        )}
      </RowMenu>
      {download.isPending && <Text size="sm">Downloading…</Text>}
      {download.error && <ErrorNotice error={download.error} />}
      {action === "cancel" && (
        <Dialog
          title="Cancel this batch?"
          verb="Cancel the batch"
          danger
          send={() => ask("POST", `${path}/cancel`, { workspace })}
          changes={[["batches"]]}
          onClose={close}
        >
          <Text size="sm">
            Requests that have not begun end as canceled, and cost nothing. Results that exist stay.
          </Text>
        </Dialog>
      )}
      {action === "delete" && (
        <Dialog
          title="Delete this batch?"
          verb="Delete"
          danger
          send={() => ask("DELETE", path, { workspace })}
          changes={[["batches"]]}
          onClose={close}
        >
          <Text size="sm">
            Its results are removed for ever. What it cost stays in the reports.
          </Text>
        </Dialog>
      )}
    </>
  );
}
