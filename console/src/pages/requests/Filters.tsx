import { Button, Select, TextInput } from "@mantine/core";
import { useModels, useWorkspaces } from "../../api/queries.ts";
import { ERROR_TYPES, errorName } from "../../rules/requests.ts";
import { type RequestsSearch, requestsSearch, type STATUS_CLASSES } from "../../rules/searches.ts";
import { localInput, momentOf } from "../../rules/times.ts";
import { useCan } from "../../session.tsx";
import { KeySelect } from "../../ui/KeySelect.tsx";

const STATUS_NAMES: Record<(typeof STATUS_CLASSES)[number], string> = {
  "2xx": "OK",
  "4xx": "Refused",
  "5xx": "Failed",
};

interface Choice {
  value: string;
  label: string;
}

/** Return choices with the chosen one among them: a link may name what is gone. */
function including(choices: Choice[], chosen: string | undefined): Choice[] {
  if (chosen === undefined || choices.some(({ value }) => value === chosen)) return choices;
  return [...choices, { value: chosen, label: chosen }];
}

/** The filters of the request log; each is in the address of the page. */
export function Filters({
  search,
  onChange,
}: {
  search: RequestsSearch;
  onChange: (search: RequestsSearch) => void;
}) {
  const can = useCan();
  const { data: workspaces = [] } = useWorkspaces();
  const { data: models = [] } = useModels();
  const { page: _, ...filters } = search;
  const set = (change: Record<string, string | null | undefined>) =>
    onChange(requestsSearch({ ...filters, ...change }));
  const select = (
    label: string,
    name: "status" | "error" | "model" | "workspace",
    choices: Choice[],
  ) => (
    <Select
      label={label}
      placeholder="All"
      clearable
      searchable
      clearButtonProps={{ "aria-label": `Take away the filter: ${label}` }}
      data={including(choices, filters[name])}
      value={filters[name] ?? null}
      onChange={(chosen) => set({ [name]: chosen })}
    />
  );
  const time = (label: string, name: "from" | "to") => (
    <TextInput
      type="datetime-local"
      label={label}
      value={filters[name] ? localInput(filters[name]) : ""}
      onChange={(event) => set({ [name]: momentOf(event.currentTarget.value) })}
    />
  );
  return (
    <search className="filters">
      {select(
        "Status",
        "status",
        Object.entries(STATUS_NAMES).map(([value, label]) => ({ value, label })),
      )}
      {select(
        "Error",
        "error",
        ERROR_TYPES.map((type) => ({ value: type, label: errorName(type) })),
      )}
      {select(
        "Model",
        "model",
        models.map(({ id }) => ({ value: id, label: id })),
      )}
      {can("keys.read") && (
        <KeySelect
          label="API key"
          placeholder="All"
          clearLabel="Take away the filter: API key"
          value={filters.key ?? null}
          onChange={(key) => set({ key })}
        />
      )}
      {select(
        "Workspace",
        "workspace",
        workspaces.map(({ id, name }) => ({ value: id, label: name })),
      )}
      {time("Ended from", "from")}
      {time("Ended before", "to")}
      {Object.keys(filters).length > 0 && (
        <Button variant="subtle" color="gray" w="auto" onClick={() => onChange({})}>
          Clear
        </Button>
      )}
    </search>
  );
}
