import { Alert, Button, Code, Group, Modal, Stack, Text } from "@mantine/core";
import { useState } from "react";
import type { KeyWithSecret } from "../../api/types.ts";
import { baseUrl } from "../../rules/origins.ts";
import { shellWord } from "../../rules/snippets.ts";
import { Copy, Lines } from "../../ui/parts.tsx";

/** The secret of a key, once: closing needs a press on the button, not a slip beside the window. */
export function Secret({ made, onClose }: { made: KeyWithSecret; onClose: () => void }) {
  const [shown, setShown] = useState(true);
  const exports = [
    `export ANTHROPIC_BASE_URL=${shellWord(baseUrl())}`,
    `export ANTHROPIC_API_KEY=${shellWord(made.secret)}`,
  ].join("\n");
  return (
    <Modal
      opened={shown}
      onClose={() => undefined}
      onExitTransitionEnd={onClose}
      withCloseButton={false}
      closeOnEscape={false}
      closeOnClickOutside={false}
      title={`The key “${made.name}”`}
    >
      <Stack>
        <Alert color="yellow" variant="light">
          Copy it now. The server keeps only a digest, so it cannot be shown again.
        </Alert>
        <div>
          <Code block aria-label="Secret" className="wrapped">
            {made.secret}
          </Code>
          <Group justify="flex-end" mt={6}>
            <Copy text={made.secret} label="Copy the key" />
          </Group>
        </div>
        <div>
          <Text size="sm" mb={6}>
            For the SDKs and most tools, in a shell:
          </Text>
          <Lines text={exports} label="the two lines" />
        </div>
        <Button onClick={() => setShown(false)}>I have copied it</Button>
      </Stack>
    </Modal>
  );
}
