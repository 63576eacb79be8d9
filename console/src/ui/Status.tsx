import { Badge } from "@mantine/core";
import type { LoggedRequest } from "../api/types.ts";
import { outcomeOf } from "../rules/requests.ts";

/** How a request ended. */
export function Status({ request }: { request: Pick<LoggedRequest, "status" | "error_type"> }) {
  const { label, color } = outcomeOf(request);
  return (
    <Badge
      variant="light"
      color={color}
      tt="none"
      fw={500}
      title={`${request.status} ${request.error_type ?? ""}`.trim()}
    >
      {label}
    </Badge>
  );
}
