import { Stack, Tabs, Text } from "@mantine/core";
import { tools } from "../rules/connections.ts";
import { baseUrl } from "../rules/origins.ts";
import { NO_KEY, type Sized } from "../rules/tool.ts";
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
      {all.map(({ id, name, ways }) => (
        <Tabs.Panel key={id} value={id}>
          <Stack gap="xs">
            {ways.map(({ place, text }, number) => (
              <div key={place}>
                <Text size="sm" c="dimmed" mb={6}>
                  {place}
                </Text>
                <Lines
                  text={text}
                  label={number ? `the lines for ${name}, by hand` : `the lines for ${name}`}
                />
              </div>
            ))}
          </Stack>
        </Tabs.Panel>
      ))}
    </Tabs>
  );
}
