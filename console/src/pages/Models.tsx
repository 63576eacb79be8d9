import { Badge, Group, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { ask } from "../api/client.ts";
import { useModels } from "../api/queries.ts";
import type { Model, ModelState } from "../api/types.ts";
import { queueOf, takeOverOf } from "../rules/models.ts";
import { WHOLE } from "../rules/numbers.ts";
import { Empty, Loaded } from "../ui/notices.tsx";
import { Head } from "../ui/parts.tsx";
import { Table } from "../ui/Table.tsx";
import { Engines, Status } from "./models/Engines.tsx";

const LIVE_MS = 5_000;

/** Return the capabilities that a model has, in words. */
function abilities(model: Model | undefined): string[] {
  return Object.entries(model?.capabilities ?? {})
    .filter(([, value]) => (value as { supported?: boolean } | null)?.supported)
    .map(([name]) => name.replaceAll("_", " "));
}

/** The models that the server answers with, and how their engines do. */
export function Models() {
  const models = useModels();
  const states = useQuery({
    queryKey: ["models", "states"],
    queryFn: ({ signal }) =>
      ask<{ data: ModelState[] }>("GET", "/v1/organizations/models", { signal }),
    refetchInterval: LIVE_MS,
    select: (found) => found.data,
  });
  return (
    <>
      <Head title="Models">
        What the server answers with, what each model can do, and how its engines do now.
      </Head>
      <Loaded query={states} what="the models">
        {(found) =>
          found.length ? (
            <>
              <ModelTable states={found} models={models.data ?? []} />
              {found.map(takeOverOf).map(
                (told) =>
                  told && (
                    <Text key={told} size="sm" mt="xs">
                      {told}
                    </Text>
                  ),
              )}
              <Engines models={found} />
            </>
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

function ModelTable({ states, models }: { states: ModelState[]; models: readonly Model[] }) {
  const byId = new Map(models.map((model) => [model.id, model]));
  const batches = states.some((model) => model.batch_running || model.batch_waiting);
  return (
    <Table
      caption="Models"
      rows={states}
      keyOf={(model) => model.id}
      columns={[
        { title: "Model", cell: (model) => model.display_name },
        { title: "Id", cell: (model) => <span className="mono">{model.id}</span> },
        { title: "State", cell: (model) => <Status status={model.status} /> },
        {
          title: "Context",
          cell: (model) =>
            model.context_tokens === null ? "–" : WHOLE.format(model.context_tokens),
          number: true,
        },
        { title: "Requests", cell: queueOf, number: true },
        ...(batches
          ? [
              {
                title: "Of batches",
                cell: (model: ModelState) =>
                  queueOf({ running: model.batch_running, waiting: model.batch_waiting }),
                number: true,
              },
            ]
          : []),
        {
          title: "Can do",
          wide: true,
          cell: (model) => (
            <Group gap={4}>
              {abilities(byId.get(model.id)).map((name) => (
                <Badge key={name} variant="light" color="gray" tt="none" fw={500}>
                  {name}
                </Badge>
              ))}
            </Group>
          ),
        },
      ]}
    />
  );
}
