import { Button, Group, Menu, Select, Text } from "@mantine/core";
import { getRouteApi } from "@tanstack/react-router";
import { useState } from "react";
import { ask } from "../api/client.ts";
import { useNamesOfKeys, useRateLimits, useWorkspaceName } from "../api/queries.ts";
import type { Balance, RateLimit, SpendLimit } from "../api/types.ts";
import { groupName } from "../rules/groups.ts";
import { keyOf, LIMIT_TYPES, scopeName, usedPart } from "../rules/limits.ts";
import { PAGE_ROWS } from "../rules/listing.ts";
import { dollarsOfCents } from "../rules/money.ts";
import { LIMIT_SCOPES, limitsSearch } from "../rules/searches.ts";
import { useCan } from "../session.tsx";
import { Dialog } from "../ui/Dialog.tsx";
import { KeySelect } from "../ui/KeySelect.tsx";
import { Empty, Loaded } from "../ui/notices.tsx";
import { TokenPager } from "../ui/Pager.tsx";
import { Head, Time } from "../ui/parts.tsx";
import { RowMenu } from "../ui/Shell.tsx";
import { type Column, Table } from "../ui/Table.tsx";
import { UsedBar } from "../ui/UsedBar.tsx";
import { useTokenListing } from "../ui/useListing.ts";
import { AskForRates, AskForSpending } from "./limits/asking.tsx";
import { Increases, OpenIncreases } from "./limits/Increases.tsx";
import { Levels } from "./limits/Levels.tsx";
import { OwnRates } from "./limits/OwnRates.tsx";
import { RateForm } from "./limits/RateForm.tsx";
import { SetSpendLimit } from "./limits/SetSpendLimit.tsx";

const route = getRouteApi("/signed-in/limits");
const SCOPE_NAMES = {
  organization: "The organization",
  workspace: "Workspaces",
  api_key: "API keys",
} as const;
const PERIODS = { daily: "A day", weekly: "A week", monthly: "A month" } as const;
const COUNT = new Intl.NumberFormat("en");
const SPEND_CHANGES = [["spend-limits"], ["balances"]] as const;

/** Rate limits, spend limits, and how much of these is used. */
export function Limits() {
  const can = useCan();
  const [adding, setAdding] = useState(false);
  const rates = useRateLimits(true);
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const spends = useTokenListing<SpendLimit>(["spend-limits"], "/v1/organizations/spend_limits", {
    limit: PAGE_ROWS,
    scope_type: search.scope ? [search.scope] : undefined,
    page: search.page,
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
      <Levels />
      {can("keys.read") && (
        <LimitsOfKey
          of={search.key}
          onChoose={(key) =>
            void navigate({ search: limitsSearch({ ...search, key }), resetScroll: false })
          }
        />
      )}
      <Group justify="space-between" align="flex-end">
        <h2 className="section">Spend limits</h2>
        {can("spend_limits.write") && (
          <Button mb="sm" onClick={() => setAdding(true)}>
            Set a spend limit
          </Button>
        )}
      </Group>
      <div className="filters">
        <Select
          label="Limits of"
          placeholder="All"
          clearable
          clearButtonProps={{ "aria-label": "Show the limits of all" }}
          data={LIMIT_SCOPES.map((scope) => ({ value: scope, label: SCOPE_NAMES[scope] }))}
          value={search.scope ?? null}
          onChange={(scope) =>
            void navigate({ search: limitsSearch({ key: search.key, scope }), resetScroll: false })
          }
        />
      </div>
      <Loaded query={spends} what="the spend limits">
        {(found) => (
          <>
            {found.data.length ? (
              <SpendTable limits={found.data} />
            ) : (
              <Empty title={search.scope ? "No such spend limits" : "No spend limits"}>
                Without one, requests may cost as much as they come to. Set one for the
                organization, a workspace or a key.
              </Empty>
            )}
            <TokenPager
              page={search.page}
              next={found.next_page}
              onMove={(page) =>
                void navigate({ search: limitsSearch({ ...search, page }), resetScroll: false })
              }
            />
          </>
        )}
      </Loaded>
      {can("spending.read") && <Balances />}
      <Increases />
      {adding && <SetSpendLimit changes={SPEND_CHANGES} onClose={() => setAdding(false)} />}
    </>
  );
}

/** The rate limits of one key, which its own dialog sets as well. */
function LimitsOfKey({
  of,
  onChoose,
}: {
  of: string | undefined;
  onChoose: (key: string | null) => void;
}) {
  return (
    <>
      <h2 className="section">Rate limits of a key</h2>
      <div className="filters fields">
        <KeySelect label="Key" value={of ?? null} onChange={onChoose} />
      </div>
      {of ? (
        <OwnRates scope={{ type: "api_key", api_key_id: of }} />
      ) : (
        <Text size="sm" c="dimmed">
          Choose a key to see and change what it may do by itself. Limits of a workspace are on the
          page of the workspace.
        </Text>
      )}
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
    stays: true,
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
  const keys = useNamesOfKeys(limits.flatMap(({ scope }) => keyOf(scope)));
  const nameOf = (limit: SpendLimit) => scopeName(limit.scope, workspaceName, keys);
  const columns: Column<SpendLimit>[] = [
    { title: "Of", cell: nameOf },
    { title: "Period", cell: (limit) => PERIODS[limit.period] },
    { title: "Limit", cell: (limit) => dollarsOfCents(limit.amount), number: true },
  ];
  columns.push({
    title: "Actions",
    stays: true,
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
  const workspaceName = useWorkspaceName();
  const [page, setPage] = useState<string>();
  const balances = useTokenListing<Balance>(
    ["balances"],
    "/v1/organizations/balances",
    { limit: PAGE_ROWS, page, used: true },
    { refetchInterval: 15_000 },
  );
  const keys = useNamesOfKeys((balances.data?.data ?? []).flatMap(({ scope }) => keyOf(scope)));
  return (
    <>
      <h2 className="section">Spent in the current periods</h2>
      <Loaded query={balances} what="the balances">
        {({ data, next_page }) =>
          data.length || page !== undefined || next_page !== null ? (
            <>
              <Table
                caption="Balances"
                rows={data}
                keyOf={(each) => `${JSON.stringify(each.scope)} ${each.period}`}
                columns={[
                  {
                    title: "Of",
                    rest: true,
                    cell: (each) => scopeName(each.scope, workspaceName, keys),
                  },
                  { title: "Period", cell: (each) => PERIODS[each.period] },
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
              <TokenPager page={page} next={next_page} onMove={setPage} />
            </>
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
  return <UsedBar part={part} />;
}
