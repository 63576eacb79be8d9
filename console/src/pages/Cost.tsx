import { Select } from "@mantine/core";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { wholeReport } from "../api/listings.ts";
import { useWorkspaceName } from "../api/queries.ts";
import type { CostResult, Report } from "../api/types.ts";
import { csv } from "../rules/csv.ts";
import { dayAfter, finerCost } from "../rules/drill.ts";
import { dollars, nanoDollars, plainDollars } from "../rules/money.ts";
import { costShares, plotOf, type Share } from "../rules/reports.ts";
import { COST_GROUPS, type CostGroup, type CostSearch } from "../rules/searches.ts";
import { startOf } from "../rules/times.ts";
import { useSession } from "../session.tsx";
import { Chips } from "../ui/Chips.tsx";
import { Empty, Loaded } from "../ui/notices.tsx";
import { Plot } from "../ui/Plot.tsx";
import { Figures, Head, save } from "../ui/parts.tsx";
import { RangeControl } from "../ui/RangeControl.tsx";
import { ReportActions } from "../ui/ReportActions.tsx";
import { useRequestRows } from "../ui/RequestRows.tsx";
import { Table } from "../ui/Table.tsx";

const route = getRouteApi("/signed-in/cost");
const GROUP_NAMES: Record<CostGroup, string> = {
  model: "Model",
  workspace_id: "Workspace",
  token_type: "Kind of tokens",
};

const PATH = "/v1/organizations/cost_report";

/** What was spent: the cost report, to the nano-dollar. */
export function Cost() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const workspaceName = useWorkspaceName();
  const { workspaces } = useSession();
  const home = workspaces.find((each) => each.is_default)?.id;
  const range = search.range ?? "30d";
  const group = search.by ?? "model";
  const query = {
    starting_at: search.day ? `${search.day}T00:00:00Z` : startOf(range, Date.now()),
    ending_at: search.day && `${dayAfter(search.day)}T00:00:00Z`,
    limit: 31,
    group_by: groupsOf(search, group),
  };
  const report = useQuery({
    queryKey: ["cost", query],
    queryFn: ({ signal }) => wholeReport<CostResult>(PATH, { query, signal }),
    placeholderData: keepPreviousData,
    refetchInterval: 60_000,
    // The report has no filters: its rows have.
    select: (found) => ({
      ...found,
      data: found.data.map((bucket) => ({
        ...bucket,
        results: bucket.results.filter((one) => isAsked(search, one, home)),
      })),
    }),
  });
  const nameOf = (result: CostResult): string =>
    group === "workspace_id"
      ? workspaceName(result.workspace_id)
      : inWords(result[group] ?? result.cost_type ?? "Other");
  const without = (name: "model" | "workspace" | "kind" | "day") => {
    const { [name]: _, ...rest } = search;
    void navigate({ search: rest });
  };
  const found = report.data;
  return (
    <>
      <Head
        title="Cost"
        actions={
          <ReportActions
            path={PATH}
            query={query}
            onSave={found && (() => saveCsv(found, nameOf, group))}
          />
        }
      >
        What requests cost by the prices of this server, by the day in UTC, exact to the
        nano-dollar.
      </Head>
      <div className="filters">
        <Select
          label="Group by"
          allowDeselect={false}
          data={COST_GROUPS.map((each) => ({ value: each, label: GROUP_NAMES[each] }))}
          value={group}
          onChange={(by) =>
            void navigate({ search: { ...search, by: (by ?? "model") as CostGroup } })
          }
        />
        <RangeControl
          value={range}
          onChange={(chosen) => {
            const { day: _, ...rest } = search;
            void navigate({ search: { ...rest, range: chosen } });
          }}
        />
      </div>
      <Chips
        chips={[
          { name: "Model", value: search.model, onRemove: () => without("model") },
          {
            name: "Workspace",
            value: search.workspace && workspaceName(search.workspace),
            onRemove: () => without("workspace"),
          },
          {
            name: "Tokens",
            value: search.kind && inWords(search.kind),
            onRemove: () => without("kind"),
          },
          { name: "Day", value: search.day, onRemove: () => without("day") },
        ]}
      />
      <Loaded query={report} what="the cost">
        {(found) => (
          <Found report={found} nameOf={nameOf} group={group} start={query.starting_at} />
        )}
      </Loaded>
    </>
  );
}

/** Return by what the report is to be split up, so that its rows can be grouped and filtered. */
function groupsOf(search: CostSearch, group: CostGroup): string[] {
  const byWorkspace = group === "workspace_id" || search.workspace;
  const described = group !== "workspace_id" || search.model || search.kind;
  return [...(byWorkspace ? ["workspace_id"] : []), ...(described ? ["description"] : [])];
}

function isAsked(search: CostSearch, one: CostResult, home: string | undefined): boolean {
  return (
    (search.model === undefined || one.model === search.model) &&
    (search.kind === undefined || one.token_type === search.kind) &&
    (search.workspace === undefined || (one.workspace_id ?? home) === search.workspace)
  );
}

function inWords(name: string): string {
  return name.replaceAll("_", " ");
}

function Found({
  report,
  nameOf,
  group,
  start,
}: {
  report: Report<CostResult>;
  nameOf: (result: CostResult) => string;
  group: CostGroup;
  start: string;
}) {
  const search = route.useSearch();
  const rows = useRequestRows();
  const { workspaces } = useSession();
  const shares = costShares(report, nameOf);
  const days = report.data.map((bucket) => ({
    day: bucket.starting_at.slice(0, 10),
    sum: bucket.results.reduce((sum, result) => sum + nanoDollars(result.amount), 0n),
  }));
  const whole = days.reduce((sum, day) => sum + day.sum, 0n);
  if (!shares.length) {
    return (
      <Empty title="Nothing was spent in this time">
        Costs appear here a few seconds after a request ends. If there are requests on the page
        Usage, their model has no price.
      </Empty>
    );
  }
  const name = GROUP_NAMES[group].toLowerCase();
  const filter = { workspace: search.workspace, model: search.model };
  const end = search.day && `${dayAfter(search.day)}T00:00:00Z`;
  const all = rows({ ...filter, from: start, to: end });
  const home = workspaces.find((each) => each.is_default)?.id;
  const ids = new Map(
    report.data.flatMap(({ results }) =>
      results.map((one) => [nameOf(one), one[group] ?? (group === "workspace_id" ? home : null)]),
    ),
  );
  const behind = (share: Share<bigint>) => {
    const text = dollars(share.sum);
    const id = ids.get(share.name);
    if (!id) return text;
    const finer = finerCost(search, group, id);
    if (finer) {
      return (
        <Link to="/cost" search={finer} className="rows">
          {text}
        </Link>
      );
    }
    const split = { model: "model", workspace_id: "workspace", token_type: "kind" }[group];
    return rows({ ...filter, ...(split === "kind" ? {} : { [split]: id }), from: start, to: end })(
      text,
    );
  };
  const behindDay = ({ day, sum }: { day: string; sum: bigint }) => {
    const text = dollars(sum);
    if (search.day) return rows({ ...filter, from: start, to: end })(text);
    return (
      <Link to="/cost" search={{ ...search, day }} className="rows">
        {text}
      </Link>
    );
  };
  return (
    <>
      <Figures
        items={
          search.day
            ? [["Spent", all(dollars(whole))]]
            : [
                ["Spent", all(dollars(whole))],
                ["Today", behindDay(days.at(-1) ?? { day: start.slice(0, 10), sum: 0n })],
                ["A day on average", dollars(roughly(whole / BigInt(days.length || 1)))],
              ]
        }
      />
      {!search.day && (
        <Plot
          data={plotOf(report, nameOf, (result) => Number(nanoDollars(result.amount)) / 1e9)}
          label={`Cost by day and ${name}`}
          format={(value) => `$${Number(value.toPrecision(3))}`}
        />
      )}
      <Table
        caption={`Cost by ${name}`}
        columns={[
          {
            title: GROUP_NAMES[group],
            cell: (share) => (
              <span className="name" title={share.name}>
                {share.name}
              </span>
            ),
            foot: "All",
          },
          { title: "Cost", cell: behind, number: true, foot: all(dollars(whole)) },
        ]}
        rows={shares}
        keyOf={(share) => share.name}
      />
      <h2 className="section">By day</h2>
      <Table
        caption="Cost by day"
        columns={[
          { title: "Day (UTC)", cell: ({ day }) => day },
          { title: "Cost", cell: behindDay, number: true },
        ]}
        rows={days.filter(({ sum }) => sum > 0n).reverse()}
        keyOf={({ day }) => day}
      />
    </>
  );
}

/** Return an average without the digits that nobody reads. */
function roughly(nano: bigint): bigint {
  return nano > 10_000_000n ? (nano / 10_000n) * 10_000n : (nano / 1000n) * 1000n;
}

function saveCsv(
  report: Report<CostResult>,
  nameOf: (result: CostResult) => string,
  group: CostGroup,
): void {
  const rows = report.data.flatMap((bucket) =>
    bucket.results.map((result) => [
      bucket.starting_at,
      nameOf(result),
      result.description ?? "",
      plainDollars(nanoDollars(result.amount)),
    ]),
  );
  save("cost.csv", "text/csv", csv(["starting_at", group, "description", "dollars"], rows));
}
