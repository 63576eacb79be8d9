import { PasswordInput, Select, Stack } from "@mantine/core";
import { useState } from "react";
import { useModels } from "../api/queries.ts";
import { NO_MODEL } from "../rules/tool.ts";
import { Connections } from "../ui/Connections.tsx";
import { Loaded } from "../ui/notices.tsx";
import { Head } from "../ui/parts.tsx";

/** What to copy so that a program or a tool uses this server. */
export function Connect() {
  const [secret, setSecret] = useState("");
  const [chosen, setChosen] = useState<string | null>(null);
  const models = useModels();
  return (
    <>
      <Head title="Connect">
        Everything that speaks the Claude API works with this server. Paste a key to have it filled
        in: it stays in this tab.
      </Head>
      <Loaded query={models} what="the models">
        {(found) => {
          const model = found.find(({ id }) => id === chosen) ?? found[0] ?? NO_MODEL;
          return (
            <Stack maw={900}>
              <div className="filters fields">
                <PasswordInput
                  label="Your API key"
                  placeholder="sk-antiphon-…"
                  autoComplete="off"
                  visibilityToggleButtonProps={{ "aria-label": "Show or hide the key" }}
                  value={secret}
                  onChange={(event) => setSecret(event.currentTarget.value)}
                />
                <Select
                  label="Model"
                  allowDeselect={false}
                  data={found.map(({ id, display_name }) => ({ value: id, label: display_name }))}
                  value={model.id}
                  onChange={setChosen}
                />
              </div>
              <Connections secret={secret} model={model} />
            </Stack>
          );
        }}
      </Loaded>
    </>
  );
}
