import type { RateGroup } from "../api/types.ts";

/** Return the name of what rate limits are for. */
export function groupName(group: RateGroup): string {
  switch (group.type) {
    case "model_group":
      return group.display_name ?? group.id;
    case "token_count":
      return "Counting tokens";
    case "batch":
      return "Calls about batches";
    case "files":
      return "Calls about files";
  }
}

/** Return an id as a part of a path: the ids of models may have slashes, and keep them. */
export function encodePath(id: string): string {
  return id.split("/").map(encodeURIComponent).join("/");
}
