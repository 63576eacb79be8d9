import { Button, Select } from "@mantine/core";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { wholeReport } from "../api/listings.ts";
import { useWorkspaceName } from "../api/queries.ts";
import type { CostResult, Report } from "../api/types.ts";
import { csv } from "../rules/csv.ts";
import { dollars, nanoDollars, plainDollars } from "../rules/money.ts";
import { costShares, plotOf } from "../rules/reports.ts";
import { COST_GROUPS, type CostGroup } from "../rules/searches.ts";
import { startOf } from "../rules/times.ts";
import { Empty, Loaded } from "../ui/notices.tsx";
import { Plot } from "../ui/Plot.tsx";
import { Figures, Head, save } from "../ui/parts.tsx";
import { RangeControl } from "../ui/RangeControl.tsx";
import { Table } from "../ui/Table.tsx";

const route = getRouteApi("/signed-in/cost");
const GROUP_NAMES: Record<CostGroup, string> = {
  model: "Model",
  workspace_id: "Workspace",
  token_type: "Kind of tokens",
};

/** What was spent: the cost report, to the nano-dollar. */
export function Cost() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const workspaceName = useWorkspaceName();
  const range = search.range ?? "30d";
  const group = search.by ?? "model";
  const asked = group === "workspace_id" ? "workspace_id" : "description";
  const report = useQuery({
    queryKey: ["cost", range, asked],
    queryFn: ({ signal }) =>
      wholeReport<CostResult>("/v1/organizations/cost_report", {
        query: { starting_at: startOf(range, Date.now()), limit: 31, group_by: [asked] },
        signal,
      }),
    placeholderData: keepPreviousData,
    refetchInterval: 60_000,
  });
  const nameOf = (result: CostResult): string =>
    group === "workspace_id"
      ? workspaceName(result.workspace_id)
      : (result[group] ?? "Other").replaceAll("_", " ");
  return (
    <>
      <Head title="Cost">
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
          onChange={(chosen) => void navigate({ search: { ...search, range: chosen } })}
        />
      </div>
      <Loaded query={report} what="the cost">
        {(found) => <Found report={found} nameOf={nameOf} group={group} />}
      </Loaded>
    </>
  );
}

function Found({
  report,
  nameOf,
  group,
}: {
  report: Report<CostResult>;
  nameOf: (result: CostResult) => string;
  group: CostGroup;
}) {
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
  return (
    <>
      <Figures
        items={[
          ["Spent", dollars(whole)],
          ["Today", dollars(days.at(-1)?.sum ?? 0n)],
          ["A day on average", dollars(roughly(whole / BigInt(days.length || 1)))],
        ]}
      />
      <Plot
        data={plotOf(report, nameOf, (result) => Number(nanoDollars(result.amount)) / 1e9)}
        label={`Cost by day and ${name}`}
        format={(value) => `$${Number(value.toPrecision(3))}`}
      />
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
          {
            title: "Cost",
            cell: (share) => dollars(share.sum),
            number: true,
            foot: dollars(whole),
          },
        ]}
        rows={shares}
        keyOf={(share) => share.name}
      />
      <h2 className="section">By day</h2>
      <Table
        caption="Cost by day"
        columns={[
          { title: "Day (UTC)", cell: ({ day }) => day },
          { title: "Cost", cell: ({ sum }) => dollars(sum), number: true },
        ]}
        rows={days.filter(({ sum }) => sum > 0n).reverse()}
        keyOf={({ day }) => day}
      />
      <Button variant="default" mt="md" onClick={() => saveCsv(report, nameOf, group)}>
        Download as CSV
      </Button>
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
