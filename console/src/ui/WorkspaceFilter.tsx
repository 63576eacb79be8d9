import { Select } from "@mantine/core";
import { useWorkspaces } from "../api/queries.ts";

/** Narrows a page down to a workspace, an archived one too. */
export function WorkspaceFilter({
  value,
  onChange,
}: {
  value: string | undefined;
  onChange: (workspace: string | undefined) => void;
}) {
  const { data: workspaces = [] } = useWorkspaces();
  return (
    <Select
      label="Workspace"
      placeholder="All"
      clearable
      searchable
      clearButtonProps={{ "aria-label": "Show all workspaces" }}
      data={workspaces.map(({ id, name }) => ({ value: id, label: name }))}
      value={value ?? null}
      onChange={(workspace) => onChange(workspace ?? undefined)}
    />
  );
}
