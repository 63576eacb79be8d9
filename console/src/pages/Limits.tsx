import { Button, Group, Menu, Progress, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { ask } from "../api/client.ts";
import { allByPage } from "../api/listings.ts";
import { useKeyNames, useRateLimits, useWorkspaceName } from "../api/queries.ts";
import type { Balance, RateLimit, SpendLimit } from "../api/types.ts";
import { groupName } from "../rules/groups.ts";
import { LIMIT_TYPES, scopeName, usedPart } from "../rules/limits.ts";
import { dollarsOfCents } from "../rules/money.ts";
import { useCan } from "../session.tsx";
import { Dialog } from "../ui/Dialog.tsx";
import { Empty, Loaded } from "../ui/notices.tsx";
import { Head, Time } from "../ui/parts.tsx";
import { RowMenu } from "../ui/Shell.tsx";
import { type Column, Table } from "../ui/Table.tsx";
import { AskForRates, AskForSpending } from "./limits/asking.tsx";
import { Increases, OpenIncreases } from "./limits/Increases.tsx";
import { RateForm } from "./limits/RateForm.tsx";
import { SetSpendLimit } from "./limits/SetSpendLimit.tsx";

const COUNT = new Intl.NumberFormat("en");
const SPEND_CHANGES = [["spend-limits"], ["balances"]] as const;

/** Rate limits, spend limits, and how much of these is used. */
export function Limits() {
  const can = useCan();
  const [adding, setAdding] = useState(false);
  const rates = useRateLimits(true);
  const spends = useQuery({
    queryKey: ["spend-limits"],
    queryFn: ({ signal }) => allByPage<SpendLimit>("/v1/organizations/spend_limits", { signal }),
  });
  return (
    <>
      <Head title="Limits">
        Rate limits refuse requests that come too fast. Spend limits refuse them before they could
        cost too much: no limit is ever exceeded.
      </Head>
      {can("limit_increases.decide") && <OpenIncreases />}
      <h2 className="section">Rate limits of the organization</h2>
      <Loaded query={rates} what="the rate limits">
        {(found) => <RateTable limits={found} />}
      </Loaded>
      <Group justify="space-between" align="flex-end">
        <h2 className="section">Spend limits</h2>
        {can("spend_limits.write") && (
          <Button mb="sm" onClick={() => setAdding(true)}>
            Set a spend limit
          </Button>
        )}
      </Group>
      <Loaded query={spends} what="the spend limits">
        {(found) =>
          found.length ? (
            <SpendTable limits={found} />
          ) : (
            <Empty title="No spend limits">
              Without one, requests may cost as much as they come to. Set one for the organization,
              a workspace or a key.
            </Empty>
          )
        }
      </Loaded>
      {can("spending.read") && <Balances />}
      <Increases />
      {adding && <SetSpendLimit changes={SPEND_CHANGES} onClose={() => setAdding(false)} />}
    </>
  );
}

function RateTable({ limits }: { limits: RateLimit[] }) {
  const can = useCan();
  const columns: Column<RateLimit>[] = [
    { title: "Of", cell: (limit) => groupName(limit.group) },
    ...LIMIT_TYPES.map(
      ({ type, name }): Column<RateLimit> => ({
        title: `${name} a minute`,
        cell: (limit) => {
          const value = limit.limits.find((each) => each.type === type)?.value;
          return value === undefined ? "–" : COUNT.format(value);
        },
        number: true,
      }),
    ),
  ];
  columns.push({
    title: "Actions",
    cell: (limit) =>
      can("rate_limits.write") ? (
        <ChangeRates limit={limit} />
      ) : (
        <AskForRates limit={limit} scope={{ type: "organization" }} />
      ),
  });
  return (
    <Table caption="Rate limits" columns={columns} rows={limits} keyOf={(limit) => limit.id} />
  );
}

function ChangeRates({ limit }: { limit: RateLimit }) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button size="compact-sm" variant="default" onClick={() => setOpen(true)}>
        Change
      </Button>
      {open && (
        <RateForm
          path="/v1/organizations/rate_limits"
          limit={limit}
          onClose={() => setOpen(false)}
        />
      )}
    </>
  );
}

function SpendTable({ limits }: { limits: SpendLimit[] }) {
  const can = useCan();
  const workspaceName = useWorkspaceName();
  const { data: keys } = useKeyNames(can("keys.read"));
  const nameOf = (limit: SpendLimit) => scopeName(limit.scope, workspaceName, keys);
  const columns: Column<SpendLimit>[] = [
    { title: "Of", cell: nameOf },
    { title: "Period", cell: (limit) => limit.period },
    { title: "Limit", cell: (limit) => dollarsOfCents(limit.amount), number: true },
  ];
  columns.push({
    title: "Actions",
    cell: (limit) => {
      if (limit.scope.type === "usage_tier") return null;
      if (!can("spend_limits.write")) return <AskForSpending limit={limit} name={nameOf(limit)} />;
      return <SpendMenu limit={limit} name={nameOf(limit)} />;
    },
  });
  return (
    <Table caption="Spend limits" columns={columns} rows={limits} keyOf={(limit) => limit.id} />
  );
}

function SpendMenu({ limit, name }: { limit: SpendLimit; name: string }) {
  const [action, setAction] = useState<"change" | "remove" | null>(null);
  const close = () => setAction(null);
  return (
    <>
      <RowMenu label={`Actions for the ${limit.period} limit of ${name}`}>
        <Menu.Item onClick={() => setAction("change")}>Change the amount</Menu.Item>
        <Menu.Item className="danger" onClick={() => setAction("remove")}>
          Remove
        </Menu.Item>
      </RowMenu>
      {action === "change" && (
        <SetSpendLimit of={limit} name={name} changes={SPEND_CHANGES} onClose={close} />
      )}
      {action === "remove" && (
        <Dialog
          title={`Remove the ${limit.period} limit of ${name}?`}
          verb="Remove"
          danger
          send={() => ask("DELETE", `/v1/organizations/spend_limits/${limit.id}`)}
          changes={SPEND_CHANGES}
          onClose={close}
        >
          <Text size="sm">From the next request on, it may spend without this limit.</Text>
        </Dialog>
      )}
    </>
  );
}

/** What each scope has spent in its current period, and what is left. */
function Balances() {
  const can = useCan();
  const workspaceName = useWorkspaceName();
  const { data: keys } = useKeyNames(can("keys.read"));
  const balances = useQuery({
    queryKey: ["balances"],
    queryFn: async ({ signal }) => {
      const scopes = ["organization", "workspace", "api_key"];
      const path = "/v1/organizations/balances";
      const parts = scopes.map((scope) => allByPage<Balance>(path, { query: { scope }, signal }));
      return (await Promise.all(parts)).flat();
    },
    refetchInterval: 15_000,
    select: (found) => found.filter((each) => each.limit !== null || Number(each.spent) > 0),
  });
  return (
    <>
      <h2 className="section">Spent in the current periods</h2>
      <Loaded query={balances} what="the balances">
        {(found) =>
          found.length ? (
            <Table
              caption="Balances"
              rows={found}
              keyOf={(each) => `${JSON.stringify(each.scope)} ${each.period}`}
              columns={[
                { title: "Of", cell: (each) => scopeName(each.scope, workspaceName, keys) },
                { title: "Period", cell: (each) => each.period },
                { title: "Used", cell: (each) => <Used balance={each} /> },
                { title: "Spent", cell: (each) => dollarsOfCents(each.spent), number: true },
                { title: "Held", cell: (each) => dollarsOfCents(each.held), number: true },
                {
                  title: "Limit",
                  cell: (each) => (each.limit === null ? "–" : dollarsOfCents(each.limit)),
                  number: true,
                },
                { title: "Begins anew", cell: (each) => <Time at={each.ending_at} relative /> },
              ]}
            />
          ) : (
            <Text c="dimmed" size="sm">
              Nothing is spent yet.
            </Text>
          )
        }
      </Loaded>
    </>
  );
}

function Used({ balance }: { balance: Balance }) {
  const part = usedPart(balance);
  if (part === null) return <>–</>;
  return (
    <Progress.Root w={120} size="md">
      <Progress.Section
        value={part * 100}
        color={part >= 0.9 ? "red" : "indigo"}
        aria-label={`${Math.floor(part * 100)} % used`}
      />
    </Progress.Root>
  );
}
