import { Alert, Button, Code, Group, Stack, Text } from "@mantine/core";
import { useModels } from "../../api/queries.ts";
import type { KeyWithSecret } from "../../api/types.ts";
import { NO_MODEL } from "../../rules/tool.ts";
import { Connections } from "../../ui/Connections.tsx";
import { ErrorNotice } from "../../ui/notices.tsx";
import { Copy } from "../../ui/parts.tsx";
import { Window } from "../../ui/Window.tsx";

/** The secret of a key, once: closing needs a press on the button, not a slip beside the window. */
export function Secret({
  made,
  limitFault,
  onClose,
}: {
  made: KeyWithSecret;
  /** Why a limit of the key could not be set. */
  limitFault: Error | null;
  onClose: () => void;
}) {
  const { data: models } = useModels();
  return (
    <Window
      size="lg"
      onClose={() => undefined}
      withCloseButton={false}
      closeOnEscape={false}
      closeOnClickOutside={false}
      title={`The key “${made.name}”`}
    >
      <Stack>
        <Alert color="yellow" variant="light">
          Copy it now. The server keeps only a digest, so it cannot be shown again.
        </Alert>
        {limitFault && (
          <>
            <ErrorNotice error={limitFault} />
            <Text size="sm">
              The key exists, but without this limit. Set it on the page Limits.
            </Text>
          </>
        )}
        <div>
          <Code block aria-label="Secret" className="wrapped">
            {made.secret}
          </Code>
          <Group justify="flex-end" mt={6}>
            <Copy text={made.secret} label="Copy the key" />
          </Group>
        </div>
        <Connections secret={made.secret} model={models?.[0] ?? NO_MODEL} />
        <Button onClick={onClose}>I have copied it</Button>
      </Stack>
    </Window>
  );
}
