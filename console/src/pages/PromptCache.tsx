import { Select, Text } from "@mantine/core";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { ask } from "../api/client.ts";
import { wholeReport } from "../api/listings.ts";
import { useWorkspaceName } from "../api/queries.ts";
import type { CacheResult, PromptCacheState, Report } from "../api/types.ts";
import {
  firstBucket,
  isHourly,
  type OverviewRange,
  percent,
  SPANS,
  unitOf,
} from "../rules/activity.ts";
import {
  addedCached,
  type Cached,
  cacheShares,
  firstCachedRequest,
  hitPlot,
  hitRate,
  hitShare,
  NOTHING_CACHED,
  tokenPlot,
} from "../rules/cache.ts";
import { dollars } from "../rules/money.ts";
import { COMPACT, WHOLE } from "../rules/numbers.ts";
import { CACHE_GROUPS, type CacheGroup, cacheSearch } from "../rules/searches.ts";
import { Loaded } from "../ui/notices.tsx";
import { Plot } from "../ui/Plot.tsx";
import { Figures, Head, Lines } from "../ui/parts.tsx";
import { SpanControl } from "../ui/SpanControl.tsx";
import { Table } from "../ui/Table.tsx";
import { WorkspaceFilter } from "../ui/WorkspaceFilter.tsx";
import { Entries } from "./cache/Entries.tsx";

const route = getRouteApi("/signed-in/cache");
const PATH = "/v1/organizations/prompt_cache";
const GROUP_NAMES: Record<CacheGroup, string> = { model: "Model", workspace_id: "Workspace" };
const LIVE_MS = 10_000;

/** What was read again instead of computed, what that saved, and what is kept now. */
export function PromptCache() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const workspaceName = useWorkspaceName();
  const range = search.range ?? "7d";
  const group = search.by ?? "model";
  const span = SPANS[range];
  const report = useQuery({
    queryKey: ["cache", "report", range, group, search.workspace],
    queryFn: ({ signal }) =>
      wholeReport<CacheResult>(`${PATH}/report`, {
        query: {
          starting_at: firstBucket(range, Date.now()),
          bucket_width: span.width,
          limit: span.buckets,
          group_by: [group],
          workspace_ids: search.workspace ? [search.workspace] : undefined,
        },
        signal,
      }),
    placeholderData: keepPreviousData,
    refetchInterval: Math.min(span.everyMs, LIVE_MS),
  });
  const state = useQuery({
    queryKey: ["cache", "state"],
    queryFn: ({ signal }) => ask<PromptCacheState>("GET", PATH, { signal }),
    refetchInterval: LIVE_MS,
  });
  const nameOf = (result: CacheResult): string =>
    group === "workspace_id" ? workspaceName(result.workspace_id) : (result.model ?? "Unknown");
  const show = (change: object) => void navigate({ search: cacheSearch({ ...search, ...change }) });
  return (
    <>
      <Head title="Prompt cache">
        What requests marked with <code>cache_control</code> read again instead of having it
        computed, and what that saved. No text is shown here.
      </Head>
      <div className="filters">
        <Select
          label="Group by"
          allowDeselect={false}
          data={CACHE_GROUPS.map((each) => ({ value: each, label: GROUP_NAMES[each] }))}
          value={group}
          onChange={(by) => show({ by })}
        />
        <WorkspaceFilter
          value={search.workspace}
          onChange={(workspace) => show({ workspace, page: undefined })}
        />
        <SpanControl value={range} onChange={(chosen) => show({ range: chosen })} />
      </div>
      <Loaded query={report} what="what was cached">
        {(found) => (
          <Loaded query={state} what="what is kept">
            {(now) => (
              <Found
                report={found}
                state={now}
                nameOf={nameOf}
                title={GROUP_NAMES[group]}
                range={range}
              >
                <Entries
                  state={now}
                  workspace={search.workspace}
                  page={search.page}
                  onPage={(page) => show({ page })}
                />
              </Found>
            )}
          </Loaded>
        )}
      </Loaded>
    </>
  );
}

function Found({
  report,
  state,
  nameOf,
  title,
  range,
  children,
}: {
  report: Report<CacheResult>;
  state: PromptCacheState;
  nameOf: (result: CacheResult) => string;
  title: string;
  range: OverviewRange;
  children: React.ReactNode;
}) {
  const shares = cacheShares(report, nameOf);
  const whole = shares.map((share) => share.sum).reduce(addedCached, NOTHING_CACHED);
  if (!whole.read && !whole.written && !state.entries) return <Begin state={state} />;
  const column = (name: string, of: (sum: Cached) => string) => ({
    title: name,
    cell: (share: { sum: Cached }) => of(share.sum),
    number: true,
    foot: of(whole),
  });
  return (
    <>
      <Figures
        items={[
          ["Requests that read", told(hitShare(whole))],
          ["Prompt tokens read", told(hitRate(whole))],
          ["Saved", dollars(whole.saved)],
        ]}
      />
      <Plots report={report} range={range} />
      <Table
        caption={`Prompts by ${title.toLowerCase()}`}
        rows={shares}
        keyOf={(share) => share.name}
        columns={[
          {
            title,
            cell: (share) => (
              <span className="name" title={share.name}>
                {share.name}
              </span>
            ),
            foot: "All",
          },
          column("Requests", (sum) => WHOLE.format(sum.requests)),
          column("Of them read", (sum) => told(hitShare(sum))),
          column("Plain input", (sum) => WHOLE.format(sum.input)),
          column("Written", (sum) => WHOLE.format(sum.written)),
          column("Read", (sum) => WHOLE.format(sum.read)),
          column("Share read", (sum) => told(hitRate(sum))),
          column("Saved", (sum) => dollars(sum.saved)),
        ]}
      />
      {whole.saved < 0n && (
        <Text size="sm" c="dimmed" mt="sm">
          Writes cost more than reads saved. A breakpoint pays from its second request on: put it
          before what changes.
        </Text>
      )}
      {children}
    </>
  );
}

/** How to begin, in place of empty tables. */
function Begin({ state }: { state: PromptCacheState }) {
  const [model] = state.models.filter(({ cached_by }) => cached_by !== null);
  if (!model) {
    return (
      <div className="empty">
        <h2>No model here caches prompts</h2>
        <p>
          Engines that keep prefixes are llama, scripted, and messages_api by its upstream. A model
          that is still loading is not counted.
        </p>
      </div>
    );
  }
  return (
    <div className="empty begin">
      <h2>Nothing was cached in this time</h2>
      <p>
        Put <code>cache_control</code> behind what stays the same. The first request writes it, and
        each one in the next five minutes reads it at a tenth of the price.
      </p>
      <Lines
        label="the program"
        text={firstCachedRequest(window.location.origin, model.id, model.minimum_tokens)}
      />
    </div>
  );
}

function Plots({ report, range }: { report: Report<CacheResult>; range: OverviewRange }) {
  const by = unitOf(range);
  return (
    <div className="plots">
      <section aria-label="Read from the cache">
        <h2>Read from the cache, by {by}</h2>
        <Plot
          data={hitPlot(report)}
          label={`Which part was read from the cache, by ${by}`}
          format={(value) => `${value} %`}
          hourly={isHourly(range)}
          most={100}
          small
        />
      </section>
      <section aria-label="Tokens read and written">
        <h2>Tokens read and written, by {by}</h2>
        <Plot
          data={tokenPlot(report)}
          label={`Tokens read and written, by ${by}`}
          format={(value) => COMPACT.format(value)}
          hourly={isHourly(range)}
          small
        />
      </section>
    </div>
  );
}

/** A part of a whole, to a tenth of a percent. */
function told(part: number | null): string {
  return part === null ? "–" : percent(part);
}
