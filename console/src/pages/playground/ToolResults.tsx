import { Button, Stack, Text, Textarea } from "@mantine/core";
import { useState } from "react";

interface ToolCall {
  id: string;
  name: string;
  input: unknown;
}

/** The results of the tools that the model has called: whoever plays here is the tool. */
export function ToolResults({
  calls,
  onSend,
}: {
  calls: readonly ToolCall[];
  onSend: (content: unknown[]) => void;
}) {
  const [results, setResults] = useState<Record<string, string>>({});
  const send = () =>
    onSend(
      calls.map(({ id }) => ({
        type: "tool_result",
        tool_use_id: id,
        content: results[id] ?? "",
      })),
    );
  return (
    <Stack mt="md">
      <Text size="sm">The model has called tools. Answer for them:</Text>
      {calls.map(({ id, name }) => (
        <Textarea
          key={id}
          label={`Result of ${name}`}
          autosize
          minRows={2}
          value={results[id] ?? ""}
          onChange={(event) => {
            const { value } = event.currentTarget;
            setResults((before) => ({ ...before, [id]: value }));
          }}
        />
      ))}
      <div>
        <Button onClick={send}>Send the results</Button>
      </div>
    </Stack>
  );
}
