import { Group, Progress } from "@mantine/core";

/** Shows which part of a limit is used, from 0 to 1. */
export function UsedBar({ part }: { part: number }) {
  const percent = `${Math.floor(part * 100)} %`;
  return (
    <Group gap="xs" wrap="nowrap">
      <Progress.Root w={88} size="md">
        <Progress.Section
          value={part * 100}
          color={part >= 0.9 ? "red" : "indigo"}
          aria-label={`${percent} used`}
        />
      </Progress.Root>
      <span>{percent}</span>
    </Group>
  );
}
