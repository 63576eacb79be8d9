import { Badge, Button, Group, Menu, Text, Textarea } from "@mantine/core";
import { useState } from "react";
import { ask } from "../../api/client.ts";
import {
  useNamesOfKeys,
  useOpenIncreases,
  useRateLimits,
  useUserName,
  useWorkspaceName,
} from "../../api/queries.ts";
import type { IncreaseRequest } from "../../api/types.ts";
import { inWords } from "../../rules/audit.ts";
import { amountOf, limitName, outcome } from "../../rules/increases.ts";
import { keyOf, scopeName } from "../../rules/limits.ts";
import { centsOfDollars, dollarsOfCents } from "../../rules/money.ts";
import { useCan, useSession } from "../../session.tsx";
import { Dialog } from "../../ui/Dialog.tsx";
import { Loaded } from "../../ui/notices.tsx";
import { Time } from "../../ui/parts.tsx";
import { RowMenu } from "../../ui/Shell.tsx";
import { type Column, Table } from "../../ui/Table.tsx";
import { useTokenListing } from "../../ui/useListing.ts";
import { AmountInput, INCREASES_PATH, LONGEST_TEXT } from "./AskForIncrease.tsx";

const PAGE_ROWS = 10;
const COLORS: Record<IncreaseRequest["status"], string> = {
  open: "indigo",
  granted: "green",
  refused: "red",
  withdrawn: "gray",
  replaced: "gray",
};
const ENDED = ["granted", "refused", "withdrawn", "replaced"];
const CHANGES = [["increases"], ["rate-limits"], ["spend-limits"], ["balances"]] as const;

/** The increase requests that wait for a decision, for those who decide. */
export function OpenIncreases() {
  const { data } = useOpenIncreases();
  if (!data?.data.length) return null;
  return (
    <>
      <h2 className="section">Waiting for a decision</h2>
      <Requests caption="Open increase requests" rows={data.data} />
      {data.next_page && (
        <Text size="sm" c="dimmed" mt="xs">
          There are more: decide on some of these first.
        </Text>
      )}
    </>
  );
}

/**
 * The increase requests that the user sees, for those who decide without the open ones, page by
 * page; nothing while there are none.
 */
export function Increases() {
  const decides = useCan()("limit_increases.decide");
  const [pages, setPages] = useState<readonly string[]>([]);
  const page = pages.at(-1);
  const requests = useTokenListing<IncreaseRequest>(
    ["increases", "page"],
    INCREASES_PATH,
    { limit: PAGE_ROWS, page, statuses: decides ? ENDED : undefined },
    { refetchInterval: 60_000 },
  );
  if (requests.data && !requests.data.data.length && !page) return null;
  return (
    <>
      <h2 className="section">{decides ? "Earlier increase requests" : "Increase requests"}</h2>
      <Loaded query={requests} what="the increase requests">
        {(found) => (
          <>
            <Requests caption="Increase requests" rows={found.data} />
            {(page || found.next_page) && (
              <Group justify="space-between" mt="md">
                <Button
                  variant="default"
                  size="xs"
                  disabled={!page}
                  onClick={() => setPages(pages.slice(0, -1))}
                >
                  Newer
                </Button>
                <Button
                  variant="default"
                  size="xs"
                  disabled={!found.next_page}
                  onClick={() => found.next_page && setPages([...pages, found.next_page])}
                >
                  Older
                </Button>
              </Group>
            )}
          </>
        )}
      </Loaded>
    </>
  );
}

function Requests({ caption, rows }: { caption: string; rows: readonly IncreaseRequest[] }) {
  const can = useCan();
  const { user } = useSession();
  const workspaceName = useWorkspaceName();
  const keys = useNamesOfKeys(rows.flatMap(({ limit }) => keyOf(limit.scope)));
  const { data: groups } = useRateLimits(can("limits.read"));
  const userName = useUserName(
    rows.map(({ asked_by }) => (asked_by.type === "user" ? asked_by.id : null)),
  );
  const nameOf = (request: IncreaseRequest) =>
    `${limitName(request.limit, groups)}: ${scopeName(request.limit.scope, workspaceName, keys)}`;
  const decides = can("limit_increases.decide");
  const columns: Column<IncreaseRequest>[] = [
    {
      title: "Limit",
      lines: true,
      cell: ({ limit }) => (
        <>
          {limitName(limit, groups)}
          <Text size="xs" c="dimmed">
            {scopeName(limit.scope, workspaceName, keys)}
          </Text>
        </>
      ),
    },
    { title: "Now", cell: ({ current }) => amountOf(current), number: true },
    { title: "Asked for", cell: ({ requested }) => amountOf(requested), number: true },
    { title: "Why", cell: ({ reason }) => <span className="words">{reason}</span>, wide: true },
  ];
  if (rows.some((each) => each.status !== "open") || !decides) {
    columns.push({
      title: "State",
      cell: (request) => (
        <>
          <Badge color={COLORS[request.status]} variant="light" tt="none">
            {outcome(request)}
          </Badge>
          {request.answer && (
            <Text size="sm" mt={4} className="words">
              {request.answer}
            </Text>
          )}
        </>
      ),
      lines: true,
    });
  }
  columns.push({ title: "Asked", cell: ({ asked_at }) => <Time at={asked_at} relative /> });
  if (can("names.read") && rows.some(({ asked_by }) => asked_by.id !== user.id)) {
    columns.push({
      title: "By",
      cell: ({ asked_by }) => {
        if (asked_by.type === "user") return userName(asked_by.id);
        return asked_by.type === "api_key" ? "Admin key" : inWords(asked_by.type);
      },
    });
  }
  if (rows.some((each) => each.status === "open")) {
    columns.push({
      title: "Actions",
      stays: true,
      cell: (request) =>
        request.status === "open" &&
        (decides || request.asked_by.id === user.id) && (
          <RequestMenu
            request={request}
            name={nameOf(request)}
            decides={decides}
            own={request.asked_by.id === user.id}
          />
        ),
    });
  }
  return <Table caption={caption} columns={columns} rows={rows} keyOf={({ id }) => id} />;
}

function RequestMenu({
  request,
  name,
  decides,
  own,
}: {
  request: IncreaseRequest;
  name: string;
  decides: boolean;
  own: boolean;
}) {
  const [action, setAction] = useState<"grant" | "refuse" | "withdraw" | null>(null);
  const close = () => setAction(null);
  return (
    <>
      <RowMenu label={`Actions for the request about ${name}`}>
        {decides && <Menu.Item onClick={() => setAction("grant")}>Grant</Menu.Item>}
        {decides && (
          <Menu.Item className="danger" onClick={() => setAction("refuse")}>
            Refuse
          </Menu.Item>
        )}
        {own && <Menu.Item onClick={() => setAction("withdraw")}>Withdraw</Menu.Item>}
      </RowMenu>
      {action === "grant" && <Grant request={request} name={name} onClose={close} />}
      {action === "refuse" && <Refuse request={request} name={name} onClose={close} />}
      {action === "withdraw" && (
        <Dialog
          title="Withdraw the request?"
          verb="Withdraw"
          send={() => ask("POST", `${INCREASES_PATH}/${request.id}/withdraw`, { body: {} })}
          changes={CHANGES}
          onClose={close}
        >
          <Text size="sm">{name} stays as it is. You can ask again.</Text>
        </Dialog>
      )}
    </>
  );
}

interface Decision {
  request: IncreaseRequest;
  name: string;
  onClose: () => void;
}

function Grant({ request, name, onClose }: Decision) {
  const isRate = request.limit.type === "rate_limit";
  const asked = request.requested;
  const [amount, setAmount] = useState<number | string>(
    typeof asked === "number" ? asked : dollarsOfCents(asked).replaceAll(/[$,]/g, ""),
  );
  const [answer, setAnswer] = useState("");
  const granted = isRate ? amount : centsOfDollars(String(amount));
  const body = { granted, ...(answer.trim() ? { answer } : {}) };
  return (
    <Dialog
      title="Grant a higher limit"
      verb="Grant"
      disabled={granted === "" || granted === null}
      send={() => ask("POST", `${INCREASES_PATH}/${request.id}/grant`, { body })}
      changes={CHANGES}
      onClose={onClose}
    >
      <Text size="sm">
        {name}. It is {amountOf(request.current)} now; asked for is {amountOf(asked)}. The new limit
        holds from the next request on.
      </Text>
      <AmountInput isRate={isRate} label="New limit" value={amount} onChange={setAmount} />
      <Answer label="Answer (optional)" value={answer} onChange={setAnswer} />
    </Dialog>
  );
}

function Refuse({ request, name, onClose }: Decision) {
  const [answer, setAnswer] = useState("");
  return (
    <Dialog
      title="Refuse the request"
      verb="Refuse"
      danger
      disabled={!answer.trim()}
      send={() => ask("POST", `${INCREASES_PATH}/${request.id}/refuse`, { body: { answer } })}
      changes={CHANGES}
      onClose={onClose}
    >
      <Text size="sm">{name} stays as it is.</Text>
      <Answer label="Why not" value={answer} onChange={setAnswer} />
    </Dialog>
  );
}

function Answer({
  label,
  value,
  onChange,
}: {
  label: string;
  value: string;
  onChange: (value: string) => void;
}) {
  return (
    <Textarea
      label={label}
      description="Whoever asked reads this."
      autosize={false}
      rows={2}
      maxLength={LONGEST_TEXT}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}
