import { Progress } from "@mantine/core";

/** Shows which part of a limit is used, from 0 to 1. */
export function UsedBar({ part }: { part: number }) {
  return (
    <Progress.Root w={120} size="md">
      <Progress.Section
        value={part * 100}
        color={part >= 0.9 ? "red" : "indigo"}
        aria-label={`${Math.floor(part * 100)} % used`}
      />
    </Progress.Root>
  );
}
