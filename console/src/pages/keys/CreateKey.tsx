import { Button, Group, Input, NumberInput, Select, Stack, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useRef, useState } from "react";
import { ask } from "../../api/client.ts";
import { useRateLimits } from "../../api/queries.ts";
import type { KeyWithSecret, Period } from "../../api/types.ts";
import { encodePath, groupName } from "../../rules/groups.ts";
import { centsOfDollars } from "../../rules/money.ts";
import { useCan, useSession } from "../../session.tsx";
import { ErrorNotice } from "../../ui/notices.tsx";
import { Window } from "../../ui/Window.tsx";

const HOUR_S = 3600;
const DAY_S = 24 * HOUR_S;
const EXPIRIES = [
  { value: "never", label: "Never" },
  { value: String(3 * HOUR_S), label: "In 3 hours" },
  { value: String(DAY_S), label: "In 1 day" },
  { value: String(7 * DAY_S), label: "In 7 days" },
  { value: String(30 * DAY_S), label: "In 30 days" },
  { value: String(90 * DAY_S), label: "In 90 days" },
  { value: String(365 * DAY_S), label: "In a year" },
];
const WHOLE_ORGANIZATION = "organization";
const PERIODS = [
  { value: "daily", label: "a day" },
  { value: "weekly", label: "a week" },
  { value: "monthly", label: "a month" },
];

/** The form of a new key. Its limits are set before its secret is shown. */
export function CreateKey({
  onClose,
  onCreated,
}: {
  onClose: () => void;
  /** Called with the key, and with the error of a limit that could not be set. */
  onCreated: (key: KeyWithSecret, limitFault: Error | null) => void;
}) {
  const { workspaces, user } = useSession();
  const can = useCan();
  const queries = useQueryClient();
  const { data: groups = [] } = useRateLimits(can("rate_limits.write"));
  const [name, setName] = useState("");
  const [workspace, setWorkspace] = useState(
    workspaces.find((each) => each.is_default)?.id ?? workspaces[0]?.id ?? null,
  );
  const [expiry, setExpiry] = useState("never");
  const [amount, setAmount] = useState("");
  const [period, setPeriod] = useState<Period>("monthly");
  const [group, setGroup] = useState<string | null>(null);
  const [rate, setRate] = useState<number | string>("");
  const cents = amount ? centsOfDollars(amount) : null;
  // One form makes one key, however often its button is pressed or its answer is lost.
  const once = useRef(crypto.randomUUID());
  const setLimits = async (keyId: string) => {
    if (cents) {
      const scope = { type: "api_key", api_key_id: keyId };
      await ask("POST", "/v1/organizations/spend_limits", {
        body: { scope, amount: cents, period },
      });
    }
    if (group && typeof rate === "number") {
      const limits = [{ type: "requests_per_minute", value: rate }];
      const path = `/v1/organizations/api_keys/${keyId}/rate_limits/${encodePath(group)}`;
      await ask("POST", path, { body: { limits } });
    }
  };
  const create = useMutation({
    mutationFn: async () => {
      const key = await ask<KeyWithSecret>("POST", "/v1/organizations/api_keys", {
        idempotencyKey: once.current,
        body: {
          name: name.trim(),
          created_by_user_id: user.id,
          scope:
            workspace === WHOLE_ORGANIZATION
              ? { type: "organization" }
              : { type: "workspace", workspace_id: workspace },
          ...(expiry === "never" ? {} : { expires_in_seconds: Number(expiry) }),
        },
      });
      // The key exists now, so its secret is shown whatever becomes of its limits.
      return { key, limitFault: await setLimits(key.id).then(() => null, asError) };
    },
    onSuccess: ({ key, limitFault }) => onCreated(key, limitFault),
    onSettled: () => queries.invalidateQueries({ queryKey: ["keys"] }),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    create.mutate();
  };
  const wrongAmount = amount !== "" && cents === null;
  return (
    <Window onClose={onClose} title="Create an API key">
      <form onSubmit={submit}>
        <Stack>
          <TextInput
            label="Name"
            description="What will use it, so that you know it again in reports."
            required
            maxLength={100}
            data-autofocus
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          <Select
            label="Workspace"
            allowDeselect={false}
            data={[
              ...workspaces.map((each) => ({ value: each.id, label: each.name })),
              ...(can("workspaces.write")
                ? [{ value: WHOLE_ORGANIZATION, label: "All: each request names its own" }]
                : []),
            ]}
            value={workspace}
            onChange={setWorkspace}
          />
          <Select
            label="Expires"
            description="This cannot be changed later."
            allowDeselect={false}
            data={EXPIRIES}
            value={expiry}
            onChange={(chosen) => setExpiry(chosen ?? "never")}
          />
          {can("spend_limits.write") && (
            <Group align="flex-end" grow>
              <TextInput
                label="May spend at most"
                placeholder="No limit"
                leftSection="$"
                inputMode="decimal"
                error={wrongAmount && "An amount in dollars, such as 20 or 0.50"}
                value={amount}
                onChange={(event) => setAmount(event.currentTarget.value)}
              />
              <Select
                label="Period"
                allowDeselect={false}
                data={PERIODS}
                value={period}
                onChange={(chosen) => setPeriod((chosen as Period | null) ?? "monthly")}
              />
            </Group>
          )}
          {can("rate_limits.write") && (
            <Input.Wrapper
              label="Rate limit"
              description="Each model has its own limit: there is none for all models together. Others can be set on the page Limits."
            >
              <Group align="flex-end" grow mt={6}>
                <Select
                  aria-label="Model of the rate limit"
                  placeholder="No model"
                  clearable
                  clearButtonProps={{ "aria-label": "Set no rate limit" }}
                  data={groups.map((each) => ({ value: each.id, label: groupName(each.group) }))}
                  value={group}
                  onChange={setGroup}
                />
                <NumberInput
                  aria-label="Requests a minute"
                  placeholder="Requests a minute"
                  disabled={!group}
                  min={1}
                  max={10 ** 10}
                  allowDecimal={false}
                  hideControls
                  value={rate}
                  onChange={setRate}
                />
              </Group>
            </Input.Wrapper>
          )}
          {create.error && <ErrorNotice error={create.error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={create.isPending} disabled={wrongAmount || !workspace}>
              Create key
            </Button>
          </Group>
        </Stack>
      </form>
    </Window>
  );
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
