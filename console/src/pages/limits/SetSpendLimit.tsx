import { Group, Select, TextInput } from "@mantine/core";
import type { QueryKey } from "@tanstack/react-query";
import { useState } from "react";
import { ask } from "../../api/client.ts";
import { useKeyChoices, useWorkspaces } from "../../api/queries.ts";
import type { Period, SpendLimit } from "../../api/types.ts";
import { centsOfDollars, dollarsOfCents } from "../../rules/money.ts";
import { Dialog } from "../../ui/Dialog.tsx";

const PATH = "/v1/organizations/spend_limits";
const PERIODS = [
  { value: "daily", label: "A day" },
  { value: "weekly", label: "A week" },
  { value: "monthly", label: "A month" },
];
const ORGANIZATION = "organization";
const WHOLE = { value: ORGANIZATION, label: "The organization" };

/** Sets a new spend limit, or the amount of one. */
export function SetSpendLimit({
  of,
  name,
  changes,
  onClose,
}: {
  of?: SpendLimit;
  name?: string;
  changes: readonly QueryKey[];
  onClose: () => void;
}) {
  const { data: workspaces = [] } = useWorkspaces();
  const [scope, setScope] = useState(WHOLE);
  const [part, setPart] = useState("");
  // What is chosen stands in the field, and is no search.
  const { data: found = [] } = useKeyChoices(part === scope.label ? "" : part, !of);
  const keys = found.map(({ id, name }) => ({ value: `api_key ${id}`, label: name }));
  const missing =
    scope.value.startsWith("api_key ") && !keys.some((key) => key.value === scope.value);
  const [period, setPeriod] = useState<Period>("monthly");
  const [amount, setAmount] = useState(of ? dollarsOfCents(of.amount).replaceAll(/[$,]/g, "") : "");
  const cents = centsOfDollars(amount);
  const send = () =>
    of
      ? ask("POST", `${PATH}/${of.id}`, { body: { amount: cents } })
      : ask("POST", PATH, { body: { scope: scopeOf(scope.value), amount: cents, period } });
  return (
    <Dialog
      title={of ? `The ${of.period} limit of ${name}` : "Set a spend limit"}
      verb={of ? "Change the amount" : "Set the limit"}
      disabled={cents === null}
      send={send}
      changes={changes}
      onClose={onClose}
    >
      {!of && (
        <Select
          label="Of"
          allowDeselect={false}
          searchable
          data={[
            WHOLE,
            {
              group: "Workspaces",
              // The Default workspace cannot be limited.
              items: workspaces
                .filter((each) => each.name !== "Default" && !each.archived_at)
                .map((each) => ({ value: `workspace ${each.id}`, label: each.name })),
            },
            {
              group: "API keys",
              items: missing ? [scope, ...keys] : keys,
            },
          ]}
          value={scope.value}
          onChange={(_, chosen) => setScope(chosen ?? WHOLE)}
          onSearchChange={setPart}
        />
      )}
      <Group grow align="flex-start">
        <TextInput
          label="May spend at most"
          leftSection="$"
          inputMode="decimal"
          required
          data-autofocus
          error={amount !== "" && cents === null && "An amount in dollars, such as 20 or 0.50"}
          value={amount}
          onChange={(event) => setAmount(event.currentTarget.value)}
        />
        {!of && (
          <Select
            label="Period"
            description={null}
            allowDeselect={false}
            data={PERIODS}
            value={period}
            onChange={(chosen) => setPeriod((chosen as Period | null) ?? "monthly")}
          />
        )}
      </Group>
    </Dialog>
  );
}

function scopeOf(chosen: string) {
  const [type, id] = chosen.split(" ");
  if (type === "workspace") return { type, workspace_id: id };
  if (type === "api_key") return { type, api_key_id: id };
  return { type: ORGANIZATION };
}
