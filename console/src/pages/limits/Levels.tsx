import { Text } from "@mantine/core";
import { useState } from "react";
import { useNamesOfKeys, useWorkspaceName } from "../../api/queries.ts";
import type { RateLevel } from "../../api/types.ts";
import { groupName } from "../../rules/groups.ts";
import { LIMIT_TYPES, scopeName } from "../../rules/limits.ts";
import { PAGE_ROWS } from "../../rules/listing.ts";
import { Loaded } from "../../ui/notices.tsx";
import { TokenPager } from "../../ui/Pager.tsx";
import { Time } from "../../ui/parts.tsx";
import { type Column, Table } from "../../ui/Table.tsx";
import { UsedBar } from "../../ui/UsedBar.tsx";
import { useTokenListing } from "../../ui/useListing.ts";

const EVERY_MS = 5_000;
const COUNT = new Intl.NumberFormat("en");

/** How much of each rate limit is used now, and when it is full again. */
export function Levels() {
  const workspaceName = useWorkspaceName();
  const [page, setPage] = useState<string>();
  const levels = useTokenListing<RateLevel>(
    ["rate-limits", "levels"],
    "/v1/organizations/rate_limit_levels",
    { limit: PAGE_ROWS, page },
    { refetchInterval: EVERY_MS },
  );
  const keys = useNamesOfKeys(
    (levels.data?.data ?? []).flatMap(({ scope }) =>
      scope.type === "api_key" ? [scope.api_key_id] : [],
    ),
  );
  const columns: Column<RateLevel>[] = [
    {
      title: "Limit",
      lines: true,
      cell: ({ group, limit_type }) => (
        <>
          {LIMIT_TYPES.find(({ type }) => type === limit_type)?.name ?? limit_type} a minute
          <Text size="xs" c="dimmed">
            {groupName(group)}
          </Text>
        </>
      ),
    },
    { title: "Of", cell: ({ scope }) => scopeName(scope, workspaceName, keys) },
    { title: "Used", cell: ({ used, limit }) => <UsedBar part={used / limit} /> },
    { title: "Left", cell: ({ remaining }) => COUNT.format(remaining), number: true },
    { title: "Allowed", cell: ({ limit }) => COUNT.format(limit), number: true },
    {
      title: "Full again",
      cell: ({ full_at }) => (full_at === null ? "now" : <Time at={full_at} relative />),
    },
  ];
  return (
    <>
      <h2 className="section">Rate limits at this moment</h2>
      <Loaded query={levels} what="the levels of the rate limits">
        {(found) => (
          <>
            <Table
              caption="Levels"
              columns={columns}
              rows={found.data}
              keyOf={(level) =>
                `${JSON.stringify(level.scope)} ${level.rate_limit_id} ${level.limit_type}`
              }
            />
            <TokenPager page={page} next={found.next_page} onMove={setPage} />
          </>
        )}
      </Loaded>
    </>
  );
}
