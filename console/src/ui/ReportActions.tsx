import { Button } from "@mantine/core";
import type { Query } from "../api/client.ts";
import { Call } from "./Call.tsx";

/** What can be done with a report: its call, and its rows as a file once they are there. */
export function ReportActions({
  path,
  query,
  onSave,
}: {
  path: string;
  query: Query;
  onSave: (() => void) | undefined;
}) {
  return (
    <>
      <Call path={path} query={query} />
      <Button variant="default" disabled={!onSave} onClick={onSave}>
        Download as CSV
      </Button>
    </>
  );
}
