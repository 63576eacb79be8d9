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
  const earlier = search.after !== undefined || (search.before !== undefined && page.has_more);
  const later = search.before !== undefined || page.has_more;
  if (!earlier && !later) return null;
  return (
    <Group justify="space-between" mt="md">
      <Button
        variant="default"
        size="xs"
        disabled={!earlier || !page.first_id}
        onClick={() => page.first_id && onMove({ before: page.first_id })}
      >
        Previous
      </Button>
      <Button
        variant="default"
        size="xs"
        disabled={!later || !page.last_id}
        onClick={() => page.last_id && onMove({ after: page.last_id })}
      >
        Next
      </Button>
    </Group>
  );
}

/** The way through a listing that is walked by tokens, which lead onwards only. */
export function TokenPager({
  page,
  next,
  onMove,
}: {
  page: string | undefined;
  next: string | null;
  onMove: (page: string | undefined) => void;
}) {
  if (!page && !next) return null;
  return (
    <Group justify="space-between" mt="md">
      <Button variant="default" size="xs" disabled={!page} onClick={() => onMove(undefined)}>
        First page
      </Button>
      <Button variant="default" size="xs" disabled={!next} onClick={() => next && onMove(next)}>
        Next
      </Button>
    </Group>
  );
}
