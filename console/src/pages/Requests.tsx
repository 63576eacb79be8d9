import { Button, Group } from "@mantine/core";
import { getRouteApi } from "@tanstack/react-router";
import { useNamesOfKeys, useWorkspaceName } from "../api/queries.ts";
import type { LoggedRequest, TokenListing } from "../api/types.ts";
import { PAGE_ROWS } from "../rules/listing.ts";
import { dollars, nanoDollars } from "../rules/money.ts";
import { duration, promptTokens, waitOf } from "../rules/requests.ts";
import type { RequestsSearch } from "../rules/searches.ts";
import { Caller } from "../ui/Caller.tsx";
import { Empty, Loaded } from "../ui/notices.tsx";
import { Head, Time } from "../ui/parts.tsx";
import { RequestId } from "../ui/RequestId.tsx";
import { Status } from "../ui/Status.tsx";
import { type Column, Table } from "../ui/Table.tsx";
import { useTokenListing } from "../ui/useListing.ts";
import { Filters } from "./requests/Filters.tsx";
import { LookUp } from "./requests/LookUp.tsx";

const route = getRouteApi("/signed-in/requests");
const WHOLE = new Intl.NumberFormat("en");
const LIVE_MS = 5_000;

/** The request log: every finished request with its times, tokens and cost, and no text. */
export function Requests() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  // What is older stays as it is.
  const refetchInterval = search.page === undefined && search.to === undefined ? LIVE_MS : false;
  const log = useTokenListing<LoggedRequest>(
    ["requests"],
    "/v1/organizations/requests",
    {
      limit: PAGE_ROWS,
      status_class: search.status,
      error_type: search.error,
      api_key_id: search.key,
      model: search.model,
      workspace_id: search.workspace,
      starting_at: search.from,
      ending_at: search.to,
      page: search.page,
    },
    { staleTime: 0, refetchInterval },
  );
  const show = (chosen: RequestsSearch) => void navigate({ search: chosen });
  return (
    <>
      <Head
        title="Requests"
        actions={
          <Button variant="default" loading={log.isFetching} onClick={() => void log.refetch()}>
            Refresh
          </Button>
        }
      >
        Every finished request, the newest first: how it ended, where its time went, what it cost.
        The log has no text of prompts or answers.
      </Head>
      <LookUp />
      <Filters search={search} onChange={show} />
      <Loaded query={log} what="the requests">
        {(page) => <Found page={page} search={search} onShow={show} />}
      </Loaded>
    </>
  );
}

function Found({
  page,
  search,
  onShow,
}: {
  page: TokenListing<LoggedRequest>;
  search: RequestsSearch;
  onShow: (search: RequestsSearch) => void;
}) {
  const { page: here, ...filters } = search;
  const next = page.next_page;
  const older = next !== null && (
    <Button variant="default" size="xs" onClick={() => onShow({ ...filters, page: next })}>
      {page.data.length ? "Older" : "Look further back"}
    </Button>
  );
  const newest = here !== undefined && (
    <Button variant="default" size="xs" onClick={() => onShow(filters)}>
      Newest
    </Button>
  );
  if (!page.data.length) {
    const filtered = Object.keys(filters).length > 0;
    return (
      <Empty
        title={next ? "None here yet" : "No such requests"}
        action={
          <Group justify="center">
            {newest}
            {older}
          </Group>
        }
      >
        {next
          ? "None of the last 4,000 requests that were looked at fits every filter. There are older ones."
          : filtered
            ? "Nothing in the log fits every filter. Take one away, or choose a longer time."
            : "Requests appear here about a second after they end. Send one from the Playground, or with a key."}
      </Empty>
    );
  }
  return (
    <>
      <RequestTable rows={page.data} />
      <Group justify="space-between" mt="md">
        {newest || <span />}
        {older}
      </Group>
    </>
  );
}

function RequestTable({ rows }: { rows: LoggedRequest[] }) {
  const workspaceName = useWorkspaceName();
  const names = useNamesOfKeys(rows.flatMap(({ api_key_id: key }) => key ?? []));
  const costs = rows.some(({ cost }) => cost !== null);
  const time = (title: string, of: (request: LoggedRequest) => number | null, aside = true) => ({
    title,
    number: true,
    aside,
    cell: (request: LoggedRequest) => duration(of(request)),
  });
  const columns: Column<LoggedRequest>[] = [
    {
      title: "Request",
      cell: ({ id, ended_at }) => (
        <>
          <RequestId id={id} />
          <div className="under">
            <Time at={ended_at} relative />
          </div>
        </>
      ),
    },
    { title: "Status", cell: (request) => <Status request={request} /> },
    { title: "Model", rest: true, cell: (request) => <Model request={request} /> },
    {
      title: "Caller",
      rest: true,
      cell: (request) => (
        <>
          <Caller request={request} names={names} />
          <div className="under" title={workspaceName(request.workspace_id)}>
            {workspaceName(request.workspace_id)}
          </div>
        </>
      ),
    },
    time("Took", ({ latency }) => latency.total_ms, false),
    time("Waited", ({ latency }) => waitOf(latency)),
    time("Prompt", ({ latency }) => latency.prefill_ms),
    time("Answer", ({ latency }) => latency.decode_ms),
    {
      title: "Tokens",
      number: true,
      cell: ({ model, usage }) =>
        model === null ? (
          "–"
        ) : (
          <>
            {WHOLE.format(promptTokens(usage))} in
            <div className="under">{WHOLE.format(usage.output_tokens)} out</div>
          </>
        ),
    },
    ...(costs
      ? [
          {
            title: "Cost",
            number: true,
            cell: ({ cost }: LoggedRequest) => (cost ? dollars(nanoDollars(cost.amount)) : "–"),
          },
        ]
      : []),
  ];
  return (
    <div className="dense">
      <Table caption="Requests" columns={columns} rows={rows} keyOf={({ id }) => id} />
    </div>
  );
}

/** The model that was asked; of another call, its path. */
function Model({ request }: { request: LoggedRequest }) {
  if (request.model === null) return <span className="mono name">{request.route}</span>;
  const counting = request.route.endsWith("/count_tokens") ? ", count of tokens" : "";
  return (
    <span
      className="name"
      title={request.served_model ? `Answered by ${request.served_model}` : request.route}
    >
      {request.model}
      {counting}
    </span>
  );
}
