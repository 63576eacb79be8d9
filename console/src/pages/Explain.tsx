import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { ApiError, ask } from "../api/client.ts";
import { useNamesOfKeys, useWorkspaceName } from "../api/queries.ts";
import type { RequestExplanation } from "../api/types.ts";
import { isEarly, keysOf, outcomeOf, ownerName, summary } from "../rules/requests.ts";
import { useSession } from "../session.tsx";
import { Empty, Loaded } from "../ui/notices.tsx";
import { Copy, Head } from "../ui/parts.tsx";
import { Status } from "../ui/Status.tsx";
import { Bill, CacheReport, Facts, Levels, Times } from "./requests/parts.tsx";

const route = getRouteApi("/signed-in/requests/$request");
/** The log is written a little after a request ends, and a link to it is faster. */
const TRIES = 6;
const PAUSE_MS = 1000;

function isUnknown(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404;
}

/** One request, and why it went as it did. */
export function Explain() {
  const { request: id } = route.useParams();
  const found = useQuery({
    queryKey: ["request", id],
    queryFn: ({ signal }) =>
      ask<RequestExplanation>("GET", `/v1/organizations/requests/${encodeURIComponent(id)}`, {
        signal,
      }),
    retry: (tries, error) => isUnknown(error) && tries < TRIES,
    retryDelay: PAUSE_MS,
    staleTime: Number.POSITIVE_INFINITY,
    // The ledger has a request sooner than the log, and knows less of it.
    refetchInterval: ({ state: { data } }) =>
      data && isEarly(data, Date.now()) ? PAUSE_MS : false,
  });
  return (
    <>
      <Head title="Request" actions={<Copy text={id} label="Copy the id" />}>
        <span className="mono">{id}</span>
      </Head>
      {isUnknown(found.error) ? (
        <Empty
          title="This request is not known"
          action={
            <>
              <Button variant="default" onClick={() => void found.refetch()} mr="sm">
                Look again
              </Button>
              <Button variant="default" component={Link} to="/requests">
                All requests
              </Button>
            </>
          }
        >
          The log has the calls of models that you may see, as long as this server keeps them. Calls
          of this Console about keys, limits and people are in the audit log instead.
        </Empty>
      ) : (
        <Loaded query={found} what="the request">
          {(request) => <Explained request={request} />}
        </Loaded>
      )}
    </>
  );
}

function Explained({ request }: { request: RequestExplanation }) {
  const nameOf = useOwnerName(request);
  return (
    <>
      <div className={`summary ${outcomeOf(request).color}`} role="status">
        <div>
          <Status request={request} />
        </div>
        {summary(request, nameOf)}
      </div>
      {!request.recorded && (
        <p>
          The request log does not have it, so this is what the bill tells: not who refused it, and
          not what it waited for.
        </p>
      )}
      <h2 className="section">Time</h2>
      <Times request={request} />
      <h2 className="section">Who and what</h2>
      <Facts request={request} />
      {request.refused_by && request.refused_by.buckets.length > 0 && (
        <>
          <h2 className="section">Rate limits at that moment</h2>
          <Levels by={request.refused_by} nameOf={nameOf} />
        </>
      )}
      {request.cache && (
        <>
          <h2 className="section">Prompt cache</h2>
          <CacheReport use={request.cache} />
        </>
      )}
      {request.costs.length > 0 && (
        <>
          <h2 className="section">Cost</h2>
          <Bill request={request} />
        </>
      )}
    </>
  );
}

/** Return what names whose limit it is that refused a request. */
function useOwnerName(request: RequestExplanation): (scope: string, id: string) => string {
  const { organization } = useSession();
  const workspace = useWorkspaceName();
  const keys = useNamesOfKeys(keysOf(request.refused_by));
  return (scope, id) => ownerName(scope, id, { organization: organization.name, workspace, keys });
}
