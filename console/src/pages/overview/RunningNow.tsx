import { useQuery } from "@tanstack/react-query";
import { ask } from "../../api/client.ts";
import { useNamesOfKeys, useWorkspaceName } from "../../api/queries.ts";
import type { RunningRequest, RunningRequests } from "../../api/types.ts";
import { duration } from "../../rules/requests.ts";
import { Caller } from "../../ui/Caller.tsx";
import { Loaded } from "../../ui/notices.tsx";
import { type Column, Table } from "../../ui/Table.tsx";

const EVERY_MS = 2_000;
const WHOLE = new Intl.NumberFormat("en");

/** The requests that run now, and the queues before the models. */
export function RunningNow() {
  const running = useQuery({
    queryKey: ["running"],
    queryFn: ({ signal }) =>
      ask<RunningRequests>("GET", "/v1/organizations/running_requests", { signal }),
    refetchInterval: EVERY_MS,
  });
  return (
    <>
      <h2 className="section">
        <span className="live">Running now</span>
      </h2>
      <Loaded query={running} what="what runs now">
        {(now) => <Now now={now} at={running.dataUpdatedAt} />}
      </Loaded>
    </>
  );
}

/** Return what a request does at this moment. */
function doing(request: RunningRequest): string {
  if (request.is_parked) return "Making way, of a batch";
  const done = request.first_token_at ? "Writing the answer" : "Reading the prompt";
  return request.batch_id ? `${done}, of a batch` : done;
}

function Now({ now, at }: { now: RunningRequests; at: number }) {
  const workspaceName = useWorkspaceName();
  const names = useNamesOfKeys(now.data.flatMap(({ api_key_id: key }) => key ?? []));
  const waiting = now.models.filter((model) => model.waiting > 0);
  const columns: Column<RunningRequest>[] = [
    { title: "Model", cell: (one) => one.model },
    { title: "Caller", cell: (one) => <Caller request={one} names={names} /> },
    { title: "Workspace", cell: (one) => workspaceName(one.workspace_id) },
    {
      title: "Doing",
      cell: doing,
    },
    {
      title: "For",
      cell: (one) => duration(Math.max(1000, at - Date.parse(one.started_at))),
      number: true,
    },
    { title: "Input", cell: (one) => WHOLE.format(one.input_tokens), number: true },
    { title: "Output", cell: (one) => WHOLE.format(one.output_tokens), number: true },
  ];
  return (
    <>
      {waiting.map((model) => (
        <p key={model.id}>
          {WHOLE.format(model.waiting)} {model.waiting === 1 ? "request waits" : "requests wait"}{" "}
          for {model.id}, on which {WHOLE.format(model.running)} run.
        </p>
      ))}
      {now.data.length ? (
        <Table
          caption="Running requests"
          columns={columns}
          rows={now.data}
          keyOf={({ id }) => id}
        />
      ) : (
        <p>No request is running.</p>
      )}
      {now.total > now.data.length && (
        <p>
          The {now.data.length} that run longest, of {WHOLE.format(now.total)}.
        </p>
      )}
    </>
  );
}
