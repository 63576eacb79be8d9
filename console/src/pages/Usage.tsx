import { Select } from "@mantine/core";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { wholeReport } from "../api/listings.ts";
import { useNamesOfKeys, useWorkspaceName } from "../api/queries.ts";
import type { Report, UsageResult } from "../api/types.ts";
import { csv } from "../rules/csv.ts";
import { finerTime, finerUsage, type Span, spanOf } from "../rules/drill.ts";
import { COMPACT, WHOLE } from "../rules/numbers.ts";
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
import { utcTime } from "../rules/times.ts";
import { useSession } from "../session.tsx";
import { Chips } from "../ui/Chips.tsx";
import { Empty, Loaded } from "../ui/notices.tsx";
import { Plot } from "../ui/Plot.tsx";
import { Figures, Head, save, Time } from "../ui/parts.tsx";
import { RangeControl } from "../ui/RangeControl.tsx";
import { ReportActions } from "../ui/ReportActions.tsx";
import { useRequestRows } from "../ui/RequestRows.tsx";
import { type Column, Table } from "../ui/Table.tsx";
import { WorkspaceFilter } from "../ui/WorkspaceFilter.tsx";

const route = getRouteApi("/signed-in/usage");
const GROUP_NAMES: Record<UsageGroup, string> = {
  model: "Model",
  api_key_id: "API key",
  workspace_id: "Workspace",
};
const PLAYGROUND = "Console, without a key";

/** The names of the widths of buckets. */
const WIDTHS = { "1m": "minute", "1h": "hour", "1d": "day" } as const;
const PATH = "/v1/organizations/usage_report/messages";

/** Tokens over time: what the usage report says, to the token. */
export function Usage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const workspaceName = useWorkspaceName();
  const group = search.by ?? "model";
  const span = spanOf(search, Date.now());
  const query = {
    starting_at: span.start,
    ending_at: span.end,
    bucket_width: span.width,
    limit: span.limit,
    group_by: [group],
    models: search.model ? [search.model] : undefined,
    api_key_ids: search.key ? [search.key] : undefined,
    workspace_ids: search.workspace ? [search.workspace] : undefined,
  };
  const report = useQuery({
    queryKey: ["usage", query],
    queryFn: ({ signal }) => wholeReport<UsageResult>(PATH, { query, signal }),
    placeholderData: keepPreviousData,
    refetchInterval: 60_000,
  });
  const keys = report.data?.data.flatMap(({ results }) => results.map((one) => one.api_key_id));
  const shown = (keys ?? []).filter((key) => key !== null);
  const keyNames = useNamesOfKeys(search.key ? [...shown, search.key] : shown);
  const nameOf = (result: UsageResult): string => {
    if (group === "workspace_id") return workspaceName(result.workspace_id);
    const id = result[group];
    if (group === "model") return id ?? "Unknown";
    return id === null ? PLAYGROUND : (keyNames.get(id) ?? id);
  };
  const without = (name: "model" | "key" | "workspace") => {
    const { [name]: _, ...rest } = search;
    void navigate({ search: rest });
  };
  const { from: _from, to: _to, ...unspanned } = search;
  const found = report.data;
  return (
    <>
      <Head
        title="Usage"
        actions={
          <ReportActions
            path={PATH}
            query={query}
            onSave={found && (() => saveCsv(found, nameOf, group))}
          />
        }
      >
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
        <WorkspaceFilter
          value={search.workspace}
          onChange={(workspace) => {
            const { workspace: _, ...rest } = search;
            void navigate({ search: workspace ? { ...rest, workspace } : rest });
          }}
        />
        <RangeControl
          value={search.range ?? "7d"}
          onChange={(chosen) => void navigate({ search: { ...unspanned, range: chosen } })}
        />
      </div>
      <Chips
        chips={[
          { name: "Model", value: search.model, onRemove: () => without("model") },
          {
            name: "Key",
            value: search.key && (keyNames.get(search.key) ?? search.key),
            onRemove: () => without("key"),
          },
          {
            name: "Time",
            value: search.from && search.to && `${utcTime(search.from)} to ${utcTime(search.to)}`,
            onRemove: () => void navigate({ search: unspanned }),
          },
        ]}
      />
      <Loaded query={report} what="the usage">
        {(found) => <Found report={found} nameOf={nameOf} group={group} span={span} />}
      </Loaded>
    </>
  );
}

function Found({
  report,
  nameOf,
  group,
  span,
}: {
  report: Report<UsageResult>;
  nameOf: (result: UsageResult) => string;
  group: UsageGroup;
  span: Span;
}) {
  const search = route.useSearch();
  const rows = useRequestRows();
  const { workspaces } = useSession();
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
  const width = WIDTHS[span.width];
  const title = GROUP_NAMES[group];
  const rate = cacheHitRate(whole);
  const filter = { workspace: search.workspace, model: search.model, key: search.key };
  const all = rows({ ...filter, from: span.start, to: span.end });
  const home = workspaces.find((each) => each.is_default)?.id;
  const ids = new Map(
    report.data.flatMap(({ results }) =>
      results.map((one) => [nameOf(one), one[group] ?? (group === "workspace_id" ? home : null)]),
    ),
  );
  const behind = (share: Share<Tokens>, text: string) => {
    const id = ids.get(share.name);
    if (!id) return text;
    const finer = finerUsage(search, group, id);
    if (finer) {
      return (
        <Link to="/usage" search={finer} className="rows">
          {text}
        </Link>
      );
    }
    const name = { model: "model", api_key_id: "key", workspace_id: "workspace" }[group];
    return rows({ ...filter, [name]: id, from: span.start, to: span.end })(text);
  };
  const behindTime = (row: { at: string; end: string }, text: string) => {
    const finer = finerTime(search, row.at, row.end);
    if (!finer) return rows({ ...filter, from: row.at, to: row.end })(text);
    return (
      <Link to="/usage" search={finer} className="rows">
        {text}
      </Link>
    );
  };
  return (
    <>
      <Figures
        items={[
          ["Tokens", all(count(totalOf(whole)))],
          ["Input", all(count(whole.input))],
          ["Output", all(count(whole.output))],
          ["Read from the cache", rate === null ? "–" : all(percent(rate))],
        ]}
      />
      <Plot
        data={plotOf(report, nameOf, (result) => totalOf(tokensOf(result)))}
        label={`Tokens by ${width} and ${title.toLowerCase()}`}
        format={compact}
        hourly={span.width !== "1d"}
      />
      <Table
        caption={`Tokens by ${title.toLowerCase()}`}
        columns={[
          {
            title,
            cell: (share: Share<Tokens>) => (
              <span className="name" title={share.name}>
                {share.name}
              </span>
            ),
            foot: "All",
          },
          ...numberColumns<Share<Tokens>>(behind, whole, all),
        ]}
        rows={shares}
        keyOf={(share) => share.name}
      />
      <h2 className="section">By {width}</h2>
      <Table
        caption={`Tokens by ${width}`}
        columns={[
          {
            title: span.width === "1d" ? "Day (UTC)" : width === "hour" ? "Hour" : "Minute",
            cell: ({ at }) => (span.width === "1d" ? at.slice(0, 10) : <Time at={at} />),
          },
          ...numberColumns<{ at: string; end: string; sum: Tokens }>(behindTime),
        ]}
        rows={report.data
          .map((bucket) => ({
            at: asMoment(bucket.starting_at),
            end: asMoment(bucket.ending_at),
            sum: bucket.results.map(tokensOf).reduce(added, NO_TOKENS),
          }))
          .filter(({ sum }) => totalOf(sum))
          .reverse()}
        keyOf={({ at }) => at}
      />
    </>
  );
}

/** Return a moment of the API as addresses have it. */
function asMoment(iso: string): string {
  return new Date(iso).toISOString();
}

/** Columns of numbers, each of which `behind` links to its rows. */
function numberColumns<Row extends { sum: Tokens }>(
  behind: (row: Row, text: string) => ReactNode,
  whole?: Tokens,
  all?: (text: string) => ReactNode,
): Column<Row>[] {
  const column = (title: string, of: (sum: Tokens) => number): Column<Row> => ({
    title,
    cell: (row) => (of(row.sum) ? behind(row, count(of(row.sum))) : "0"),
    number: true,
    ...(whole && all ? { foot: all(count(of(whole))) } : {}),
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

function count(tokens: number): string {
  return WHOLE.format(tokens);
}

function compact(value: number): string {
  return COMPACT.format(value);
}

function percent(part: number): string {
  return `${(part * 100).toFixed(1)} %`;
}
