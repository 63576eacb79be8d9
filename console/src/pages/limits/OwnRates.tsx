import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { allByPage } from "../../api/listings.ts";
import { useRateLimits } from "../../api/queries.ts";
import type { RateGroup, RateLimit } from "../../api/types.ts";
import { groupName } from "../../rules/groups.ts";
import { LIMIT_TYPES } from "../../rules/limits.ts";
import { useCan } from "../../session.tsx";
import { Loaded } from "../../ui/notices.tsx";
import { type Column, Table } from "../../ui/Table.tsx";
import { RateForm } from "./RateForm.tsx";

interface OwnLimits {
  rate_limit_id: string;
  group: RateGroup;
  limits: { type: string; value: number; org_limit: number | null }[];
}

const COUNT = new Intl.NumberFormat("en");

/**
 * The rate limits of a workspace or a key, beside the organization's, which hold as well. `owner` is
 * its path in the Admin API.
 */
export function OwnRates({ owner }: { owner: string }) {
  const can = useCan();
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
    if (mine !== undefined) return COUNT.format(mine);
    return whole === undefined ? "–" : `${COUNT.format(whole)} (organization)`;
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
  if (can("rate_limits.write")) {
    columns.push({
      title: "Actions",
      cell: (limit) => (
        <Change path={path} limit={{ ...limit, limits: own.data?.get(limit.id) ?? [] }} />
      ),
    });
  }
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
