import { Badge, Group } from "@mantine/core";
import { useModels } from "../api/queries.ts";
import type { Model } from "../api/types.ts";
import { WHOLE } from "../rules/numbers.ts";
import { Empty, Loaded } from "../ui/notices.tsx";
import { Head } from "../ui/parts.tsx";
import { Table } from "../ui/Table.tsx";

/** Return the capabilities that a model has, in words. */
function abilities(model: Model): string[] {
  return Object.entries(model.capabilities ?? {})
    .filter(([, value]) => (value as { supported?: boolean } | null)?.supported)
    .map(([name]) => name.replaceAll("_", " "));
}

/** The models that the server answers with. */
export function Models() {
  const models = useModels();
  return (
    <>
      <Head title="Models">What the server answers with, and what each model can do.</Head>
      <Loaded query={models} what="the models">
        {(found) =>
          found.length ? (
            <Table
              caption="Models"
              rows={found}
              keyOf={(model) => model.id}
              columns={[
                { title: "Model", cell: (model) => model.display_name },
                { title: "Id", cell: (model) => <span className="mono">{model.id}</span> },
                {
                  title: "Context",
                  cell: (model) =>
                    model.max_input_tokens === null ? "–" : WHOLE.format(model.max_input_tokens),
                  number: true,
                },
                {
                  title: "State",
                  cell: (model) => (model.capabilities === null ? "Loading" : "Ready"),
                },
                {
                  title: "Can do",
                  wide: true,
                  cell: (model) => (
                    <Group gap={4}>
                      {abilities(model).map((name) => (
                        <Badge key={name} variant="light" color="gray" tt="none" fw={500}>
                          {name}
                        </Badge>
                      ))}
                    </Group>
                  ),
                },
              ]}
            />
          ) : (
            <Empty title="No models">
              Whoever runs the server chooses a model in antiphon.toml, or with antiphon serve
              --model.
            </Empty>
          )
        }
      </Loaded>
    </>
  );
}
