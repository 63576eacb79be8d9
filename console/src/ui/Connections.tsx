import { Tabs, Text } from "@mantine/core";
import { NO_KEY, type Sized, tools } from "../rules/connections.ts";
import { baseUrl } from "../rules/origins.ts";
import { Lines } from "./parts.tsx";

/** What to copy for each tool. */
export function Connections({ secret, model }: { secret: string; model: Sized }) {
  const all = tools(baseUrl(), secret.trim() || NO_KEY, model);
  return (
    <Tabs defaultValue={all[0]?.id ?? null} keepMounted={false}>
      <Tabs.List mb="md" aria-label="Tools">
        {all.map(({ id, name }) => (
          <Tabs.Tab key={id} value={id}>
            {name}
          </Tabs.Tab>
        ))}
      </Tabs.List>
      {all.map(({ id, name, place, text }) => (
        <Tabs.Panel key={id} value={id}>
          <Text size="sm" c="dimmed" mb={6}>
            {place}
          </Text>
          <Lines text={text} label={`the lines for ${name}`} />
        </Tabs.Panel>
      ))}
    </Tabs>
  );
}
