import { Alert, Button, Group, Text } from "@mantine/core";
import { useWorkspaceName } from "../../api/queries.ts";
import type { CacheEntry, PromptCacheState } from "../../api/types.ts";
import { losses, sizeOf, snapshotRoom } from "../../rules/cache.ts";
import { dollarsOfCents } from "../../rules/money.ts";
import { WHOLE } from "../../rules/numbers.ts";
import { ErrorNotice, Loaded } from "../../ui/notices.tsx";
import { Figures, Time } from "../../ui/parts.tsx";
import { Table } from "../../ui/Table.tsx";
import { useTokenListing } from "../../ui/useListing.ts";

const LIVE_MS = 10_000;
const PAGE_ROWS = 25;
const LIFETIMES = { "5m": "5 minutes", "1h": "1 hour" } as const;

/** What the prompt cache holds at this moment. */
export function Entries({
  state,
  workspace,
  page,
  onPage,
}: {
  state: PromptCacheState;
  workspace: string | undefined;
  page: string | undefined;
  onPage: (page: string | undefined) => void;
}) {
  const workspaceName = useWorkspaceName();
  const entries = useTokenListing<CacheEntry>(
    ["cache", "entries"],
    "/v1/organizations/prompt_cache/entries",
    { limit: PAGE_ROWS, workspace_id: workspace, page },
    { refetchInterval: LIVE_MS },
  );
  const lost = losses(state);
  return (
    <>
      <h2 className="section">Now</h2>
      {!workspace && (
        <Figures
          items={[
            ["Prefixes to read", WHOLE.format(state.entries)],
            ["Their tokens", WHOLE.format(state.tokens)],
            ["Snapshots on the disk", snapshotRoom(state)],
          ]}
        />
      )}
      {lost.length > 0 && (
        <Alert color="yellow" variant="light" title="Since the server started" mb="md">
          <ul className="plain">
            {lost.map((each) => (
              <li key={each}>{each}</li>
            ))}
          </ul>
        </Alert>
      )}
      <Loaded query={entries} what="what is kept">
        {(found) => (
          <>
            {entries.error && <ErrorNotice error={entries.error} />}
            {found.data.length ? (
              <Table
                caption="Prefixes that can be read"
                rows={found.data}
                keyOf={(entry) => entry.id}
                columns={[
                  {
                    title: "Model",
                    rest: true,
                    cell: ({ model, workspace_id }) => (
                      <>
                        <span className="name" title={model}>
                          {model}
                        </span>
                        <div className="under">{workspaceName(workspace_id)}</div>
                      </>
                    ),
                  },
                  { title: "Tokens", cell: ({ tokens }) => WHOLE.format(tokens), number: true },
                  {
                    title: "Reads",
                    cell: ({ hits }) => (hits === null ? "–" : WHOLE.format(hits)),
                    number: true,
                  },
                  {
                    title: "Saved",
                    cell: ({ saved }) => (saved ? dollarsOfCents(saved.amount) : "–"),
                    number: true,
                  },
                  {
                    title: "Written",
                    cell: ({ written_at }) =>
                      written_at ? <Time at={written_at} relative /> : "Before the start",
                  },
                  {
                    title: "Last used",
                    cell: (entry) => <Time at={entry.last_used_at} relative />,
                  },
                  {
                    title: "Ends",
                    cell: ({ expires_at, ttl }) => (
                      <>
                        <Time at={expires_at} relative />
                        {ttl && <div className="under">lives {LIFETIMES[ttl]}</div>}
                      </>
                    ),
                  },
                  {
                    title: "Snapshot",
                    cell: ({ snapshot_bytes: size }) => (size === null ? "–" : sizeOf(size)),
                    number: true,
                  },
                ]}
              />
            ) : (
              <Text size="sm" c="dimmed" mt="sm">
                Nothing is kept now. A prefix lives five minutes or an hour after its last use.
              </Text>
            )}
            <Group justify="space-between" mt="md">
              {page ? (
                <Button size="xs" variant="default" onClick={() => onPage(undefined)}>
                  Last used
                </Button>
              ) : (
                <span />
              )}
              {found.next_page && (
                <Button
                  size="xs"
                  variant="default"
                  onClick={() => onPage(found.next_page ?? undefined)}
                >
                  Used before
                </Button>
              )}
            </Group>
          </>
        )}
      </Loaded>
    </>
  );
}
