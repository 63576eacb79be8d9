import { Progress } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import type { CacheUse, RefusedBy, RequestExplanation } from "../../api/types.ts";
import { dollars, nanoDollars } from "../../rules/money.ts";
import { WHOLE } from "../../rules/numbers.ts";
import {
  cacheReason,
  duration,
  phasesOf,
  promptTokens,
  rateName,
  tokenTypeName,
} from "../../rules/requests.ts";
import { useCan } from "../../session.tsx";
import { Time } from "../../ui/parts.tsx";
import { Table } from "../../ui/Table.tsx";

/** Where the time of a request went, as a bar and in numbers. */
export function Times({ request }: { request: RequestExplanation }) {
  const phases = phasesOf(request);
  const total = phases.reduce((sum, phase) => sum + phase.ms, 0);
  return (
    <>
      <Progress.Root size={20} aria-hidden>
        {phases.map((phase) => (
          <Progress.Section
            key={phase.name}
            value={(phase.ms / total) * 100}
            color={phase.color === "gray" ? "gray.6" : phase.color}
            withAria={false}
          />
        ))}
      </Progress.Root>
      <ul className="phases" aria-label="Where the time went">
        {phases.map((phase) => (
          <li key={phase.name}>
            <span className={`dot ${phase.color}`} aria-hidden="true" />
            {phase.name} <b>{duration(phase.ms)}</b>
          </li>
        ))}
        <li>
          In all <b>{duration(request.latency.total_ms)}</b>
        </li>
      </ul>
    </>
  );
}

/** Who asked what of which model, and which engine answered. */
export function Facts({ request }: { request: RequestExplanation }) {
  const can = useCan();
  const { api_key: key, account, workspace, usage } = request;
  const facts: (readonly [string, ReactNode])[] = [
    ["Ended", <Time key="ended" at={request.ended_at} />],
    [
      "Call",
      <span key="call" className="mono">
        {request.route}
      </span>,
    ],
    [
      "Key",
      key ? (
        <Linked key="key" may={can("requests.read")} search={{ key: key.id }}>
          {key.name ?? `${key.id}, which is gone`}
        </Linked>
      ) : account ? (
        `None: ${account.name ?? account.id} in the Console`
      ) : request.batch_id !== null ? (
        "None: the batch was created at the command line"
      ) : (
        "None that is known"
      ),
    ],
    [
      "Workspace",
      workspace ? (
        <Linked key="workspace" may={can("requests.read")} search={{ workspace: workspace.id }}>
          {workspace.name ?? workspace.id}
        </Linked>
      ) : (
        "None"
      ),
    ],
  ];
  if (request.model !== null) facts.push(["Model", modelText(request)]);
  if (request.served_model !== null) {
    facts.push(["Engine", engineText(request)]);
    const thinking = usage.thinking_tokens
      ? `, ${WHOLE.format(usage.thinking_tokens)} of them to think`
      : "";
    facts.push([
      "Tokens",
      `${WHOLE.format(promptTokens(usage))} of the prompt, ${WHOLE.format(usage.output_tokens)} of the answer${thinking}`,
    ]);
    facts.push(["Answer", request.streamed ? "As a stream" : "Whole"]);
  }
  if (request.batch_id !== null) {
    facts.push([
      "Batch",
      <span key="batch" className="mono">
        {request.batch_id}
      </span>,
    ]);
  }
  return (
    <dl className="facts">
      {facts.map(([name, value]) => (
        <div key={name} className="fact">
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Linked({
  may,
  search,
  children,
}: {
  may: boolean;
  search: { key?: string; workspace?: string };
  children: ReactNode;
}) {
  if (!may) return <>{children}</>;
  return (
    <Link to="/requests" search={search} title="Its requests">
      {children}
    </Link>
  );
}

function modelText({ model, served_model: served }: RequestExplanation): string {
  return served === null || served === model ? `${model}` : `${model}, answered by ${served}`;
}

function engineText({ engine, engine_number: number, engines }: RequestExplanation): string {
  if (engine === null) {
    return engines.length > 1
      ? `Not recorded; the model has ${engines.join(", ")}`
      : "Not recorded";
  }
  if (number === null) return engine;
  // The settings may have others by now.
  const of = number <= engines.length ? ` of the ${engines.length} of this model` : "";
  return `${engine}, number ${number}${of}`;
}

/** How full each bucket of the caller was when the request was refused. */
export function Levels({
  by,
  nameOf,
}: {
  by: RefusedBy;
  nameOf: (scope: string, id: string) => string;
}) {
  const isIt = (bucket: RefusedBy["buckets"][number]) =>
    bucket.scope === by.scope && bucket.scope_id === by.scope_id && bucket.type === by.type;
  return (
    <Table
      caption="Rate limits"
      rows={by.buckets}
      keyOf={(bucket) => `${bucket.scope} ${bucket.scope_id} ${bucket.type}`}
      columns={[
        {
          title: "Limit",
          cell: (bucket) => (
            <>
              {WHOLE.format(bucket.limit)} {rateName(bucket.type)}
            </>
          ),
        },
        { title: "Of", cell: (bucket) => nameOf(bucket.scope, bucket.scope_id) },
        { title: "Left", cell: (bucket) => WHOLE.format(bucket.remaining), number: true },
        { title: "Full again in", cell: (bucket) => duration(bucket.full_in_ms), number: true },
        { title: "Refused", cell: (bucket) => (isIt(bucket) ? "Yes" : "No") },
      ]}
    />
  );
}

const STATES: Record<string, string> = {
  read: "Read",
  written: "Written",
  kept_none: "The engine kept nothing",
};
const LIVES: Record<string, string> = { "5m": "5 minutes", "1h": "An hour" };

/** What the request did with the prompt cache, breakpoint by breakpoint. */
export function CacheReport({ use }: { use: CacheUse }) {
  const from = use.source ? ` from ${use.source}` : "";
  return (
    <>
      <p>
        {WHOLE.format(use.read_tokens)} tokens were read{from}, of{" "}
        {WHOLE.format(use.planned_read_tokens)} that its entries promised;{" "}
        {WHOLE.format(use.written_tokens)} were written. {use.reason && cacheReason(use.reason)}
      </p>
      {use.breakpoints.length > 0 && (
        <Table
          caption="Breakpoints"
          rows={use.breakpoints.map((point, index) => ({ ...point, number: index + 1 }))}
          keyOf={(point) => `${point.number}`}
          columns={[
            { title: "Where", cell: (point) => `Breakpoint ${point.number}` },
            {
              title: "Tokens before it",
              cell: (point) => WHOLE.format(point.tokens),
              number: true,
            },
            { title: "Lives for", cell: (point) => LIVES[point.ttl] ?? point.ttl },
            { title: "What became of it", cell: (point) => STATES[point.state] ?? point.state },
          ]}
        />
      )}
    </>
  );
}

/** The bill, line by line. */
export function Bill({ request }: { request: RequestExplanation }) {
  const total = request.costs.reduce((sum, line) => sum + nanoDollars(line.amount), 0n);
  return (
    <>
      <Table
        caption="Cost"
        rows={request.costs}
        keyOf={(line) => line.token_type}
        columns={[
          { title: "Tokens", cell: (line) => tokenTypeName(line.token_type), foot: "All" },
          { title: "Number", cell: (line) => WHOLE.format(line.tokens), number: true },
          {
            title: "For a million",
            cell: (line) => (line.dollars_per_million ? `$${line.dollars_per_million}` : "–"),
            number: true,
          },
          {
            title: "Cost",
            cell: (line) => dollars(nanoDollars(line.amount)),
            number: true,
            foot: dollars(total),
          },
        ]}
      />
      {request.batch_id !== null && <p>Of a batch, half of the price is billed.</p>}
    </>
  );
}
