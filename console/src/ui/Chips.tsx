import { Button } from "@mantine/core";

/** The filters that hold, each with a way out of it. */
export function Chips({
  chips,
}: {
  chips: readonly { name: string; value: string | undefined; onRemove: () => void }[];
}) {
  const held = chips.filter(({ value }) => value !== undefined);
  if (!held.length) return null;
  return (
    <div className="chips">
      {held.map(({ name, value, onRemove }) => (
        <Button
          key={name}
          size="xs"
          variant="light"
          onClick={onRemove}
          aria-label={`Remove the filter ${name}: ${value}`}
          rightSection={<span aria-hidden="true">×</span>}
        >
          {name}: {value}
        </Button>
      ))}
    </div>
  );
}
