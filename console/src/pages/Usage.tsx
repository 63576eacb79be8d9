import { Button, Select } from "@mantine/core";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { wholeReport } from "../api/listings.ts";
import { useKeyNames, useWorkspaceName, useWorkspaces } from "../api/queries.ts";
import type { Report, UsageResult } from "../api/types.ts";
import { csv } from "../rules/csv.ts";
import {
  added,
  cacheHitRate,
  NO_TOKENS,
  plotOf,
  type Share,
  type Tokens,
  tokensOf,
  totalOf,
  usageShares,
} from "../rules/reports.ts";
import { USAGE_GROUPS, type UsageGroup } from "../rules/searches.ts";
import { type Range, startOf } from "../rules/times.ts";
import { useCan } from "../session.tsx";
import { Empty, Loaded } from "../ui/notices.tsx";
import { Plot } from "../ui/Plot.tsx";
import { Figures, Head, save, Time } from "../ui/parts.tsx";
import { RangeControl } from "../ui/RangeControl.tsx";
import { type Column, Table } from "../ui/Table.tsx";

const route = getRouteApi("/signed-in/usage");
const GROUP_NAMES: Record<UsageGroup, string> = {
  model: "Model",
  api_key_id: "API key",
  workspace_id: "Workspace",
};
const PLAYGROUND = "Console, without a key";
/** A range of one day is drawn by the hour. */
const HOURLY: Range = "1d";

/** Tokens over time: what the usage report says, to the token. */
export function Usage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const can = useCan();
  const { data: workspaces = [] } = useWorkspaces();
  const workspaceName = useWorkspaceName();
  const range = search.range ?? "7d";
  const group = search.by ?? "model";
  const { data: keyNames } = useKeyNames(group === "api_key_id" && can("keys.read"));
  const report = useQuery({
    queryKey: ["usage", range, group, search.workspace],
    queryFn: ({ signal }) =>
      wholeReport<UsageResult>("/v1/organizations/usage_report/messages", {
        query: {
          starting_at: startOf(range, Date.now()),
          bucket_width: range === HOURLY ? "1h" : "1d",
          limit: range === HOURLY ? 24 : 31,
          group_by: [group],
          workspace_ids: search.workspace ? [search.workspace] : undefined,
        },
        signal,
      }),
    placeholderData: keepPreviousData,
    refetchInterval: 60_000,
  });
  const nameOf = (result: UsageResult): string => {
    if (group === "workspace_id") return workspaceName(result.workspace_id);
    const id = result[group];
    if (group === "model") return id ?? "Unknown";
    return id === null ? PLAYGROUND : (keyNames?.get(id) ?? id);
  };
  return (
    <>
      <Head title="Usage">
        Tokens that models read and wrote, by the day in UTC. Requests count when they end.
      </Head>
      <div className="filters">
        <Select
          label="Group by"
          allowDeselect={false}
          data={USAGE_GROUPS.map((each) => ({ value: each, label: GROUP_NAMES[each] }))}
          value={group}
          onChange={(by) =>
            void navigate({ search: { ...search, by: (by ?? "model") as UsageGroup } })
          }
        />
        <Select
          label="Workspace"
          placeholder="All"
          clearable
          searchable
          clearButtonProps={{ "aria-label": "Show all workspaces" }}
          data={workspaces.map(({ id, name }) => ({ value: id, label: name }))}
          value={search.workspace ?? null}
          onChange={(workspace) => {
            const { workspace: _, ...rest } = search;
            void navigate({ search: workspace ? { ...rest, workspace } : rest });
          }}
        />
        <RangeControl
          value={range}
          onChange={(chosen) => void navigate({ search: { ...search, range: chosen } })}
        />
      </div>
      <Loaded query={report} what="the usage">
        {(found) => (
          <Found report={found} nameOf={nameOf} group={group} hourly={range === HOURLY} />
        )}
      </Loaded>
    </>
  );
}

function Found({
  report,
  nameOf,
  group,
  hourly,
}: {
  report: Report<UsageResult>;
  nameOf: (result: UsageResult) => string;
  group: UsageGroup;
  hourly: boolean;
}) {
  const shares = usageShares(report, nameOf);
  const whole = shares.map((share) => share.sum).reduce(added, NO_TOKENS);
  if (!shares.length) {
    return (
      <Empty title="Nothing was used in this time">
        Requests appear here a few seconds after they end. Choose a longer range, or send one from
        the Playground.
      </Empty>
    );
  }
  const rate = cacheHitRate(whole);
  return (
    <>
      <Figures
        items={[
          ["Tokens", count(totalOf(whole))],
          ["Input", count(whole.input)],
          ["Output", count(whole.output)],
          ["Read from the cache", rate === null ? "–" : percent(rate)],
        ]}
      />
      <Plot
        data={plotOf(report, nameOf, (result) => totalOf(tokensOf(result)))}
        label={`Tokens by ${hourly ? "hour" : "day"} and ${GROUP_NAMES[group].toLowerCase()}`}
        format={compact}
        hourly={hourly}
      />
      <Table
        caption={`Tokens by ${GROUP_NAMES[group].toLowerCase()}`}
        columns={tokenColumns(GROUP_NAMES[group], whole)}
        rows={shares}
        keyOf={(share) => share.name}
      />
      <h2 className="section">By {hourly ? "hour" : "day"}</h2>
      <Table
        caption={`Tokens by ${hourly ? "hour" : "day"}`}
        columns={[
          {
            title: hourly ? "Hour" : "Day (UTC)",
            cell: ({ at }) => (hourly ? <Time at={at} /> : at.slice(0, 10)),
          },
          ...numberColumns<{ at: string; sum: Tokens }>(),
        ]}
        rows={report.data
          .map((bucket) => ({
            at: bucket.starting_at,
            sum: bucket.results.map(tokensOf).reduce(added, NO_TOKENS),
          }))
          .filter(({ sum }) => totalOf(sum))
          .reverse()}
        keyOf={({ at }) => at}
      />
      <Button variant="default" mt="md" onClick={() => saveCsv(report, nameOf, group)}>
        Download as CSV
      </Button>
    </>
  );
}

function tokenColumns(title: string, whole: Tokens): Column<Share<Tokens>>[] {
  return [
    {
      title,
      cell: (share) => (
        <span className="name" title={share.name}>
          {share.name}
        </span>
      ),
      foot: "All",
    },
    ...numberColumns<Share<Tokens>>(whole),
  ];
}

function numberColumns<Row extends { sum: Tokens }>(whole?: Tokens): Column<Row>[] {
  const column = (title: string, of: (sum: Tokens) => number): Column<Row> => ({
    title,
    cell: (row) => count(of(row.sum)),
    number: true,
    ...(whole ? { foot: count(of(whole)) } : {}),
  });
  return [
    column("Input", (sum) => sum.input),
    column("Cache reads", (sum) => sum.cacheReads),
    column("Cache writes", (sum) => sum.cacheWrites),
    column("Output", (sum) => sum.output),
    column("All", totalOf),
  ];
}

function saveCsv(
  report: Report<UsageResult>,
  nameOf: (result: UsageResult) => string,
  group: UsageGroup,
): void {
  const columns = [
    "starting_at",
    group,
    "name",
    "uncached_input_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "output_tokens",
  ];
  const rows = report.data.flatMap((bucket) =>
    bucket.results.map((result) => {
      const sum = tokensOf(result);
      const numbers = [sum.input, sum.cacheReads, sum.cacheWrites, sum.output].map(String);
      return [bucket.starting_at, result[group] ?? "", nameOf(result), ...numbers];
    }),
  );
  save("usage.csv", "text/csv", csv(columns, rows));
}

const WHOLE = new Intl.NumberFormat("en");
const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

function count(tokens: number): string {
  return WHOLE.format(tokens);
}

function compact(value: number): string {
  return COMPACT.format(value);
}

function percent(part: number): string {
  return `${(part * 100).toFixed(1)} %`;
}
