import { Badge, Button } from "@mantine/core";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { ask } from "../api/client.ts";
import type { ActivityReport } from "../api/types.ts";
import {
  COST,
  errorsOf,
  errorTypes,
  FIRST_TOKEN,
  firstBucket,
  isHourly,
  linesOf,
  type OverviewRange,
  percent,
  REQUESTS,
  SPANS,
  TOKENS,
  tokensOf,
  unitOf,
} from "../rules/activity.ts";
import { dollars, nanoDollars, shortDollars } from "../rules/money.ts";
import { COMPACT, WHOLE } from "../rules/numbers.ts";
import { duration, errorName } from "../rules/requests.ts";
import { useCan } from "../session.tsx";
import { Empty, Loaded } from "../ui/notices.tsx";
import { Plot } from "../ui/Plot.tsx";
import { Figures, Head, Time } from "../ui/parts.tsx";
import { SpanControl } from "../ui/SpanControl.tsx";
import { type Column, Table } from "../ui/Table.tsx";
import { RunningNow } from "./overview/RunningNow.tsx";

const route = getRouteApi("/signed-in/overview");

/** The page after the sign-in: what was spent and asked, whether it goes well, what runs now. */
export function Overview() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const can = useCan();
  const range = search.range ?? "24h";
  const span = SPANS[range];
  const activity = useQuery({
    queryKey: ["activity", range],
    queryFn: ({ signal }) =>
      ask<ActivityReport>("GET", "/v1/organizations/activity", {
        query: {
          starting_at: firstBucket(range, Date.now()),
          bucket_width: span.width,
          limit: span.buckets,
        },
        signal,
      }),
    placeholderData: keepPreviousData,
    // Whoever comes back from the Playground wants to see what was just asked.
    staleTime: 0,
    refetchInterval: span.everyMs,
  });
  return (
    <>
      <Head
        title="Overview"
        actions={
          <SpanControl
            value={range}
            onChange={(chosen) => void navigate({ search: { range: chosen } })}
          />
        }
      >
        {range === "1h" ? (
          <span className="live">The last hour, minute by minute</span>
        ) : (
          `The last ${span.label}`
        )}
      </Head>
      <Loaded query={activity} what="the activity">
        {(report) => <Activity report={report} range={range} />}
      </Loaded>
      {can("requests.read") && <RunningNow />}
    </>
  );
}

function Activity({ report, range }: { report: ActivityReport; range: OverviewRange }) {
  const can = useCan();
  const { total } = report;
  const from = report.data[0]?.starting_at;
  if (!total.requests) {
    return (
      <Empty
        title="No requests in this time"
        action={
          can("keys.write") ? (
            <Button component={Link} to="/keys">
              Create a key
            </Button>
          ) : (
            can("models.use") && (
              <Button component={Link} to="/playground">
                Open the Playground
              </Button>
            )
          )
        }
      >
        They appear here a second after they end. Choose a longer range, or send the first one.
      </Empty>
    );
  }
  return (
    <>
      <Numbers report={report} from={from} />
      <Plots report={report} range={range} />
      <Errors report={report} from={from} />
      <details>
        <summary>The numbers, by {unitOf(range)}</summary>
        <Table
          caption={`Activity by ${unitOf(range)}`}
          columns={columns(range, total.cost !== null)}
          rows={report.data.filter(({ results }) => results.length).reverse()}
          keyOf={({ starting_at }) => starting_at}
        />
      </details>
    </>
  );
}

/** A number that leads to its rows, for those who may see them. */
function Leading({ may, children }: { may: boolean; children: [ReactNode, ReactNode] }) {
  return <>{children[may ? 0 : 1]}</>;
}

function Numbers({ report, from }: { report: ActivityReport; from: string | undefined }) {
  const can = useCan();
  const { total } = report;
  const errors = errorsOf(total);
  const since = from ? { from } : {};
  const maySee = can("requests.read");
  const requests = WHOLE.format(total.requests);
  const told = errors ? `${WHOLE.format(errors)} (${percent(errors / total.requests)})` : "None";
  const cost = total.cost && dollars(nanoDollars(total.cost.amount));
  const first = total.first_token;
  return (
    <>
      <Figures
        items={[
          ...(cost
            ? [
                [
                  "Spent",
                  <Link key="cost" to="/cost">
                    {cost}
                  </Link>,
                ] as const,
              ]
            : []),
          [
            "Requests",
            <Leading key="requests" may={maySee}>
              <Link to="/requests" search={since}>
                {requests}
              </Link>
              {requests}
            </Leading>,
          ],
          [
            "Tokens",
            <Link key="tokens" to="/usage">
              {WHOLE.format(tokensOf(total))}
            </Link>,
          ],
        ]}
      />
      <Figures
        minor
        items={[
          [
            "Read from the prompt cache",
            total.cache_read_share === null ? "–" : percent(total.cache_read_share),
          ],
          ["Errors", told],
          [
            "First token after",
            first ? `${duration(first.p50_ms)} (95 %: ${duration(first.p95_ms)})` : "–",
          ],
        ]}
      />
    </>
  );
}

function Plots({ report, range }: { report: ActivityReport; range: OverviewRange }) {
  const by = unitOf(range);
  const plots = [
    ["Requests", REQUESTS, (value: number) => COMPACT.format(value)],
    ...(report.total.cost ? [["Cost", COST, (value: number) => shortDollars(value)] as const] : []),
    ["Tokens", TOKENS, (value: number) => COMPACT.format(value)],
    ["Time to the first token", FIRST_TOKEN, (value: number) => duration(value)],
  ] as const;
  return (
    <div className="plots">
      {plots.map(([title, lines, format]) => (
        <section key={title} aria-label={title}>
          <h2>{title}</h2>
          <Plot
            data={linesOf(report, lines)}
            label={`${title} by ${by}`}
            format={format}
            hourly={isHourly(range)}
            small
          />
        </section>
      ))}
    </div>
  );
}

function Errors({ report, from }: { report: ActivityReport; from: string | undefined }) {
  const can = useCan();
  const types = errorTypes(report.total);
  if (!types.length) return null;
  const since = from ? { from } : {};
  return (
    <>
      <h2 className="section">Errors</h2>
      <ul className="phases">
        {types.map(([type, count]) => (
          <li key={type}>
            <Leading may={can("requests.read")}>
              <Link to="/requests" search={{ ...since, error: type }}>
                {errorName(type)}
              </Link>
              {errorName(type)}
            </Leading>{" "}
            <Badge variant="light" color="gray" title={type}>
              {WHOLE.format(count)}
            </Badge>
          </li>
        ))}
      </ul>
      <br />
    </>
  );
}

type Bucket = ActivityReport["data"][number];

function columns(range: OverviewRange, costs: boolean): Column<Bucket>[] {
  const number = (
    title: string,
    of: (result: NonNullable<Bucket["results"][0]>) => string,
  ): Column<Bucket> => ({
    title,
    number: true,
    cell: ({ results: [result] }) => (result ? of(result) : "–"),
  });
  return [
    {
      title: SPANS[range].width === "1d" ? "Day (UTC)" : "From",
      cell: ({ starting_at: at }) =>
        SPANS[range].width === "1d" ? at.slice(0, 10) : <Time at={at} />,
    },
    number("Requests", (one) => WHOLE.format(one.requests)),
    number("Errors", (one) => WHOLE.format(errorsOf(one))),
    number("Tokens", (one) => WHOLE.format(tokensOf(one))),
    number("From the cache", (one) =>
      one.cache_read_share === null ? "–" : percent(one.cache_read_share),
    ),
    number("First token, half", (one) => duration(one.first_token?.p50_ms ?? null)),
    number("95 %", (one) => duration(one.first_token?.p95_ms ?? null)),
    ...(costs
      ? [number("Cost", (one) => (one.cost ? dollars(nanoDollars(one.cost.amount)) : "–"))]
      : []),
  ];
}
