import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { allByPage } from "../../api/listings.ts";
import { useRateLimits } from "../../api/queries.ts";
import type { RateGroup, RateLimit, SpendScope } from "../../api/types.ts";
import { groupName } from "../../rules/groups.ts";
import { LIMIT_TYPES } from "../../rules/limits.ts";
import { WHOLE } from "../../rules/numbers.ts";
import { useCan } from "../../session.tsx";
import { Loaded } from "../../ui/notices.tsx";
import { type Column, Table } from "../../ui/Table.tsx";
import { AskForRates } from "./asking.tsx";
import { RateForm } from "./RateForm.tsx";

interface OwnLimits {
  rate_limit_id: string;
  group: RateGroup;
  limits: { type: string; value: number; org_limit: number | null }[];
}

type OwnerScope = Extract<SpendScope, { type: "workspace" | "api_key" }>;

/**
 * The rate limits of a workspace or a key, beside the organization's, which hold as well.
 */
export function OwnRates({ scope }: { scope: OwnerScope }) {
  const can = useCan();
  const owner =
    scope.type === "workspace"
      ? `workspaces/${scope.workspace_id}`
      : `api_keys/${scope.api_key_id}`;
  const path = `/v1/organizations/${owner}/rate_limits`;
  const organization = useRateLimits(true);
  const own = useQuery({
    queryKey: ["rate-limits", owner],
    queryFn: ({ signal }) => allByPage<OwnLimits>(path, { signal }),
    select: (found) => new Map(found.map((each) => [each.rate_limit_id, each.limits])),
  });
  const shown = (limit: RateLimit, type: string) => {
    const mine = own.data?.get(limit.id)?.find((each) => each.type === type)?.value;
    const whole = limit.limits.find((each) => each.type === type)?.value;
    if (mine !== undefined) return WHOLE.format(mine);
    return whole === undefined ? "–" : `${WHOLE.format(whole)} (organization)`;
  };
  const columns: Column<RateLimit>[] = [
    { title: "Of", cell: (limit) => groupName(limit.group) },
    ...LIMIT_TYPES.map(
      ({ type, name }): Column<RateLimit> => ({
        title: `${name} a minute`,
        cell: (limit) => shown(limit, type),
        number: true,
      }),
    ),
  ];
  columns.push({
    title: "Actions",
    stays: true,
    cell: (limit) => {
      const limits = own.data?.get(limit.id) ?? [];
      if (can("rate_limits.write")) return <Change path={path} limit={{ ...limit, limits }} />;
      return limits.length ? <AskForRates limit={{ ...limit, limits }} scope={scope} /> : null;
    },
  });
  return (
    <Loaded query={organization} what="the rate limits">
      {(found) => (
        <Table caption="Rate limits" columns={columns} rows={found} keyOf={(limit) => limit.id} />
      )}
    </Loaded>
  );
}

function Change({ path, limit }: { path: string; limit: RateLimit }) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button size="compact-sm" variant="default" onClick={() => setOpen(true)}>
        Change
      </Button>
      {open && <RateForm path={path} limit={limit} onClose={() => setOpen(false)} />}
    </>
  );
}
