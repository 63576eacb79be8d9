// The buttons that ask for a higher limit, in the rows of limits that the user cannot change.

import { Button } from "@mantine/core";
import { useState } from "react";
import type { RateLimit, SpendLimit, SpendScope } from "../../api/types.ts";
import { groupName } from "../../rules/groups.ts";
import { limitName } from "../../rules/increases.ts";
import { LIMIT_TYPES } from "../../rules/limits.ts";
import { type Askable, AskForIncrease } from "./AskForIncrease.tsx";

/** Asks for more of one of the rate limits of a group. */
export function AskForRates({ limit, scope }: { limit: RateLimit; scope: SpendScope }) {
  const askables = LIMIT_TYPES.flatMap(({ type, name }): Askable[] => {
    const value = limit.limits.find((each) => each.type === type)?.value;
    if (value === undefined) return [];
    const target = {
      type: "rate_limit",
      scope,
      rate_limit_id: limit.id,
      limit_type: type,
    } as const;
    return [{ label: `${name} a minute`, limit: target, current: value }];
  });
  return <Asking of={groupName(limit.group)} askables={askables} />;
}

/** Asks for more of a spend limit. */
export function AskForSpending({ limit, name }: { limit: SpendLimit; name: string }) {
  const target = { type: "spend_limit", scope: limit.scope, period: limit.period } as const;
  const askable = { label: limitName(target, undefined), limit: target, current: limit.amount };
  return <Asking of={name} askables={[askable]} />;
}

function Asking({ of, askables }: { of: string; askables: readonly Askable[] }) {
  const [open, setOpen] = useState(false);
  const [first, ...others] = askables;
  if (!first) return null;
  return (
    <>
      <Button size="compact-sm" variant="default" onClick={() => setOpen(true)}>
        Ask for more
      </Button>
      {open && (
        <AskForIncrease
          title={`Ask for a higher limit: ${of}`}
          askables={[first, ...others]}
          onClose={() => setOpen(false)}
        />
      )}
    </>
  );
}
