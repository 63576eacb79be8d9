import { NumberInput, Select, Text, Textarea, TextInput } from "@mantine/core";
import { useState } from "react";
import { ask } from "../../api/client.ts";
import type { LimitTarget } from "../../api/types.ts";
import { amountOf } from "../../rules/increases.ts";
import { centsOfDollars } from "../../rules/money.ts";
import { Dialog } from "../../ui/Dialog.tsx";

export const INCREASES_PATH = "/v1/organizations/limit_increase_requests";
export const LONGEST_TEXT = 1000;

/** A limit that somebody may ask to be higher. */
export interface Askable {
  label: string;
  limit: LimitTarget;
  current: number | string;
}

/** Asks administrators for a higher limit: one of those that stand in a row. */
export function AskForIncrease({
  title,
  askables,
  onClose,
}: {
  title: string;
  askables: readonly [Askable, ...Askable[]];
  onClose: () => void;
}) {
  const [chosen, setChosen] = useState(0);
  const [amount, setAmount] = useState<number | string>("");
  const [reason, setReason] = useState("");
  const { limit, current } = askables[chosen] ?? askables[0];
  const requested = limit.type === "rate_limit" ? amount : centsOfDollars(String(amount));
  const isAmount = requested !== "" && requested !== null && amount !== "";
  return (
    <Dialog
      title={title}
      verb="Ask for it"
      disabled={!isAmount || !reason.trim()}
      send={() => ask("POST", INCREASES_PATH, { body: { limit, requested, reason } })}
      changes={[["increases"]]}
      onClose={onClose}
    >
      {askables.length > 1 && (
        <Select
          label="Limit"
          allowDeselect={false}
          data={askables.map(({ label }, index) => ({ value: String(index), label }))}
          value={String(chosen)}
          onChange={(value) => {
            setChosen(Number(value));
            setAmount("");
          }}
        />
      )}
      <Text size="sm">
        {askables.length > 1 ? "It" : askables[0].label} is {amountOf(current)} now.
      </Text>
      <AmountInput
        isRate={limit.type === "rate_limit"}
        label="New limit"
        value={amount}
        onChange={setAmount}
      />
      <Textarea
        label="Why"
        description="An administrator reads this and decides."
        required
        autosize={false}
        rows={3}
        maxLength={LONGEST_TEXT}
        value={reason}
        onChange={(event) => setReason(event.currentTarget.value)}
      />
    </Dialog>
  );
}

/** An amount of a limit: a number a minute, or dollars. */
export function AmountInput({
  isRate,
  label,
  value,
  onChange,
}: {
  isRate: boolean;
  label: string;
  value: number | string;
  onChange: (value: number | string) => void;
}) {
  if (!isRate) {
    const wrong = value !== "" && centsOfDollars(String(value)) === null;
    return (
      <TextInput
        label={`${label}, in US dollars`}
        data-autofocus
        inputMode="decimal"
        error={wrong && "An amount in dollars, such as 20 or 0.50"}
        value={value}
        onChange={(event) => onChange(event.currentTarget.value)}
      />
    );
  }
  return (
    <NumberInput
      label={`${label}, a minute`}
      data-autofocus
      min={1}
      max={10 ** 10}
      allowDecimal={false}
      hideControls
      thousandSeparator=","
      value={value}
      onChange={onChange}
    />
  );
}
