import { Badge, Button, Group, Menu, Progress, Select, Text } from "@mantine/core";
import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useState } from "react";
import { useModels } from "../api/queries.ts";
import { answered, clientIn } from "../api/sdk.ts";
import type { Batch, Listing } from "../api/types.ts";
import {
  batchProgress,
  costOf,
  firstBatch,
  hindranceOf,
  outcomesOf,
  requestsOf,
} from "../rules/batches.ts";
import { WHOLE } from "../rules/numbers.ts";
import { BATCH_STATUSES, batchesSearch } from "../rules/searches.ts";
import { NO_MODEL } from "../rules/tool.ts";
import { useCan, useSession } from "../session.tsx";
import { Dialog } from "../ui/Dialog.tsx";
import { saveStream } from "../ui/download.ts";
import { Empty, ErrorNotice, Loaded } from "../ui/notices.tsx";
import { Pager } from "../ui/Pager.tsx";
import { Head, Id, Lines, Time } from "../ui/parts.tsx";
import { RowMenu } from "../ui/Shell.tsx";
import { type Column, type Sorting, Table } from "../ui/Table.tsx";
import { useNarrowing } from "../ui/useListing.ts";

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
    queryFn: ({ signal }) => pageOf(workspace, search, signal),
    placeholderData: keepPreviousData,
    refetchInterval: ({ state }) =>
      state.data?.data.some((batch) => batch.processing_status !== "ended") ? LIVE_MS : CALM_MS,
  });
  const { narrow, sorting } = useNarrowing({
    search,
    onSearch: (next) => void navigate({ search: batchesSearch({ ...next }) }),
    order: "-created_at",
  });
  return (
    <>
      <Head title="Batches">
        Many requests at half the price, answered while the models are idle. A batch is created by a
        program, or with <code>antiphon batches create</code>.
      </Head>
      <div className="filters">
        {workspaces.length > 1 && (
          <Select
            label="Workspace"
            allowDeselect={false}
            data={workspaces.map(({ id, name }) => ({ value: id, label: name }))}
            value={workspace ?? null}
            onChange={(chosen) => narrow({ workspace: chosen })}
          />
        )}
        <Select
          label="Status"
          placeholder="All"
          clearable
          clearButtonProps={{ "aria-label": "Show all statuses" }}
          data={BATCH_STATUSES.map((status) => ({ value: status, label: STATUSES[status][0] }))}
          value={search.status ?? null}
          onChange={(status) => narrow({ status })}
        />
      </div>
      <Loaded query={batches} what="the batches">
        {(page) =>
          page.data.length ? (
            <>
              <BatchTable batches={page.data} workspace={workspace} sorting={sorting} />
              <Pager page={page} search={search} onMove={narrow} />
            </>
          ) : search.status ? (
            <Empty
              title="No batch has this status"
              action={
                <Button variant="default" onClick={() => narrow({ status: undefined })}>
                  Show all batches
                </Button>
              }
            >
              The workspace may have others.
            </Empty>
          ) : (
            <Begin workspace={workspace} />
          )
        }
      </Loaded>
    </>
  );
}

/** Ask for the page of the batches that an address names. */
async function pageOf(
  workspace: string | undefined,
  search: ReturnType<typeof batchesSearch>,
  signal: AbortSignal,
): Promise<Listing<Batch>> {
  const query = {
    limit: PAGE_ROWS,
    processing_status: search.status,
    order: search.sort === "created_at" ? ("asc" as const) : ("desc" as const),
    after_id: search.after,
    before_id: search.before,
  };
  const { batches } = clientIn(workspace).messages;
  const page = await answered(PATH, batches.list(query, { signal }));
  return page.body as Listing<Batch>;
}

/** How to begin, in place of an empty table. */
function Begin({ workspace }: { workspace: string | undefined }) {
  const { data: models } = useModels(workspace);
  return (
    <div className="empty begin">
      <h2>No batches in this workspace</h2>
      <p>
        A batch has up to 100,000 requests. Its progress and its results appear here. This program
        sends a small one:
      </p>
      {models && (
        <Lines
          label="the program"
          text={firstBatch(window.location.origin, models[0]?.id ?? NO_MODEL.id)}
        />
      )}
    </div>
  );
}

function BatchTable({
  batches,
  workspace,
  sorting,
}: {
  batches: Batch[];
  workspace: string | undefined;
  sorting: Sorting;
}) {
  const columns: Column<Batch>[] = [
    {
      title: "Batch",
      cell: (batch) => (
        <>
          <Id id={batch.id} />
          <Hindered batch={batch} />
        </>
      ),
    },
    { title: "Status", cell: (batch) => <Status batch={batch} /> },
    { title: "Progress", cell: (batch) => <BatchProgress batch={batch} /> },
    { title: "Cost", cell: costOf, number: true },
    {
      title: "Created",
      sort: "created_at",
      cell: (batch) => <Time at={batch.created_at} relative />,
    },
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
    <div className="dense">
      <Table
        caption="Batches"
        columns={columns}
        rows={batches}
        keyOf={(batch) => batch.id}
        sorting={sorting}
      />
    </div>
  );
}

function Status({ batch }: { batch: Batch }) {
  const [name, color] = STATUSES[batch.processing_status];
  const hindrance = hindranceOf(batch);
  return (
    <Badge variant="light" color={hindrance ? "yellow" : color} tt="none" fw={500}>
      {hindrance?.state ?? name}
    </Badge>
  );
}

/** Of a batch that waits or is slow why, and what to do about it. */
function Hindered({ batch }: { batch: Batch }) {
  const can = useCan();
  const hindrance = hindranceOf(batch);
  if (!hindrance) return null;
  return (
    <div className="waits">
      {hindrance.reason} {hindrance.advice}
      {hindrance.ofMoney && can("limits.read") && (
        <>
          {" "}
          Raise the limit on the page <Link to="/limits">Limits</Link>, or wait for the next period.
        </>
      )}
    </div>
  );
}

function BatchProgress({ batch }: { batch: Batch }) {
  const done = batchProgress(batch);
  return (
    <>
      <Group gap="xs" wrap="nowrap">
        <Progress value={done * 100} w={56} color="indigo" aria-label={`Progress of ${batch.id}`} />
        <Text size="sm">
          {Math.floor(done * 100)} % of {WHOLE.format(requestsOf(batch))}
        </Text>
      </Group>
      <Text size="xs" c="dimmed">
        {outcomesOf(batch)}
      </Text>
    </>
  );
}

function BatchMenu({ batch, workspace }: { batch: Batch; workspace: string | undefined }) {
  const [action, setAction] = useState<"cancel" | "delete" | null>(null);
  const queries = useQueryClient();
  const batches = () => clientIn(workspace).messages.batches;
  const download = useMutation({
    mutationFn: () =>
      saveStream(`${batch.id}.jsonl`, () => {
        // As it comes, and not as the values of its lines.
        const path = `${PATH}/${batch.id}/results`;
        return answered(PATH, clientIn(workspace).request({ method: "GET", path }).asResponse());
      }),
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
          send={() => answered(PATH, batches().cancel(batch.id))}
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
          send={() => answered(PATH, batches().delete(batch.id))}
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
