import { NumberInput, Stack } from "@mantine/core";
import { useState } from "react";
import { ask } from "../../api/client.ts";
import type { RateLimit } from "../../api/types.ts";
import { encodePath, groupName } from "../../rules/groups.ts";
import { LIMIT_TYPES } from "../../rules/limits.ts";
import { Dialog } from "../../ui/Dialog.tsx";

/** Changes the rate limits of one group: of the organization, a workspace or a key, by the path. */
export function RateForm({
  path,
  limit,
  onClose,
}: {
  path: string;
  limit: RateLimit;
  onClose: () => void;
}) {
  const now = Object.fromEntries(limit.limits.map(({ type, value }) => [type, value]));
  const [values, setValues] = useState<Record<string, number | string>>(now);
  const types = limit.group.type === "model_group" ? LIMIT_TYPES : LIMIT_TYPES.slice(0, 1);
  const limits = types
    .map(({ type }) => ({ type, value: typeof values[type] === "number" ? values[type] : null }))
    .filter(({ type, value }) => value !== (now[type] ?? null));
  return (
    <Dialog
      title={`Rate limits of ${groupName(limit.group)}`}
      verb="Change the limits"
      disabled={!limits.length}
      send={() => ask("POST", `${path}/${encodePath(limit.id)}`, { body: { limits } })}
      changes={[["rate-limits"]]}
      onClose={onClose}
    >
      <Stack>
        {types.map(({ type, name }) => (
          <NumberInput
            key={type}
            label={`${name} a minute`}
            placeholder="No limit"
            min={1}
            max={10 ** 10}
            allowDecimal={false}
            hideControls
            thousandSeparator=","
            value={values[type] ?? ""}
            onChange={(value) => setValues((before) => ({ ...before, [type]: value }))}
          />
        ))}
      </Stack>
    </Dialog>
  );
}
