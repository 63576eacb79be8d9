import { Button, Group } from "@mantine/core";
import type { Listing } from "../api/types.ts";

/** The ways to the pages before and after one of a listing that is walked by ids. */
export function Pager<Item>({
  page,
  search,
  onMove,
}: {
  page: Listing<Item>;
  search: { after?: string; before?: string };
  onMove: (move: { after?: string; before?: string }) => void;
}) {
  const newer = search.after !== undefined || (search.before !== undefined && page.has_more);
  const older = search.before !== undefined || page.has_more;
  if (!newer && !older) return null;
  return (
    <Group justify="space-between" mt="md">
      <Button
        variant="default"
        size="xs"
        disabled={!newer || !page.first_id}
        onClick={() => page.first_id && onMove({ before: page.first_id })}
      >
        Newer
      </Button>
      <Button
        variant="default"
        size="xs"
        disabled={!older || !page.last_id}
        onClick={() => page.last_id && onMove({ after: page.last_id })}
      >
        Older
      </Button>
    </Group>
  );
}
