import { Badge, Text } from "@mantine/core";
import type { ModelState } from "../../api/types.ts";
import {
  type EngineRow,
  engineName,
  engineRows,
  errorInWords,
  memoryOf,
  partsOf,
  queueOf,
  STATUSES,
  slotsOf,
  speedOf,
  toldOf,
} from "../../rules/models.ts";
import { WHOLE } from "../../rules/numbers.ts";
import { Time } from "../../ui/parts.tsx";
import { type Column, Table } from "../../ui/Table.tsx";

/** How each engine does. What no engine tells has no column. */
export function Engines({ models }: { models: readonly ModelState[] }) {
  const rows = engineRows(models);
  const told = toldOf(rows);
  const columns: Column<EngineRow>[] = [
    {
      title: "Engine",
      cell: (row) => (
        <>
          {row.model.display_name}
          <Text size="xs" c="dimmed">
            {engineName(row)}
          </Text>
        </>
      ),
    },
    { title: "State", cell: ({ engine }) => <Status status={engine.status} /> },
    { title: "Requests", cell: ({ engine }) => queueOf(engine), number: true },
    ...(told.slots
      ? [{ title: "Slots", cell: ({ engine }: EngineRow) => slotsOf(engine), number: true }]
      : []),
    { title: "Tokens/s", cell: ({ engine }) => <Speed of={engine.speed} />, number: true },
    ...(told.memory
      ? [{ title: "Memory", cell: (row: EngineRow) => <Memory of={row} />, number: true }]
      : []),
    ...(told.restarts
      ? [
          {
            title: "Restarts",
            cell: ({ engine }: EngineRow) =>
              engine.restarts === null ? null : WHOLE.format(engine.restarts),
            number: true,
          },
        ]
      : []),
    { title: "Last trouble", wide: true, cell: (row) => <Trouble of={row} /> },
  ];
  return (
    <>
      <h2 className="section">
        <span className="live">Engines</span>
      </h2>
      <Table
        caption="Engines"
        rows={rows}
        keyOf={({ model, engine }) => `${model.id} ${engine.number}`}
        columns={columns}
      />
      <Text size="sm" c="dimmed" mt="sm">
        Speeds are those of one request over the last five minutes
        {told.byServer ? "; where the engine does not measure them, waits and networks count" : ""}.
        {told.memory &&
          " The memory of an engine is that of its processes here, without that of a GPU; weights and KV are told by the file of the model."}
      </Text>
    </>
  );
}

/** How fast an engine reads prompts, and writes answers. */
function Speed({ of: speed }: { of: EngineRow["engine"]["speed"] }) {
  if (!speed) return <>–</>;
  return (
    <>
      <div>prompt {speedOf(speed.prefill_tokens_per_second)}</div>
      <div>answer {speedOf(speed.decode_tokens_per_second)}</div>
    </>
  );
}

/** What the processes of an engine use, and what the model takes by its file. */
function Memory({ of: { engine } }: { of: EngineRow }) {
  if (!engine.memory) return null;
  return (
    <>
      {memoryOf(engine)}
      {partsOf(engine).map((part) => (
        <Text key={part} size="xs" c="dimmed">
          {part}
        </Text>
      ))}
    </>
  );
}

/** The status of a model or of an engine. */
export function Status({ status }: { status: ModelState["status"] }) {
  const [name, color] = STATUSES[status];
  return (
    <Badge variant="light" color={color} tt="none" fw={500}>
      {name}
    </Badge>
  );
}

/** Why the engine ended last, and its last error in a request. */
function Trouble({ of: { engine } }: { of: EngineRow }) {
  const { last_failure: failure, last_error: error, left_out_s: leftOut } = engine;
  if (!failure && !error) return <>None</>;
  return (
    <>
      {failure && (
        <div>
          {failure.reason ?? "It was restarted"}, <Time at={failure.at} relative />
        </div>
      )}
      {error && (
        <div>
          {errorInWords(error)}, <Time at={error.at} relative />
        </div>
      )}
      {!!leftOut && <div>Tried again in {Math.ceil(leftOut)} s</div>}
    </>
  );
}
