import { Button, Group, Stack } from "@mantine/core";
import { type QueryKey, useMutation, useQueryClient } from "@tanstack/react-query";
import type { FormEvent, ReactNode } from "react";
import { ErrorNotice } from "./notices.tsx";
import { Window } from "./Window.tsx";

/** A window with a form that sends one change; then it closes, and what changed is asked for anew. */
export function Dialog({
  title,
  verb,
  danger = false,
  disabled = false,
  send,
  changes,
  onClose,
  children,
}: {
  title: string;
  /** What the button does. */
  verb: string;
  danger?: boolean;
  disabled?: boolean;
  send: () => Promise<unknown>;
  /** The queries whose answers the change makes old. */
  changes: readonly QueryKey[];
  onClose: () => void;
  children: ReactNode;
}) {
  const queries = useQueryClient();
  const change = useMutation({
    mutationFn: send,
    onSuccess: async () => {
      await Promise.all(changes.map((queryKey) => queries.invalidateQueries({ queryKey })));
      onClose();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    change.mutate();
  };
  return (
    <Window onClose={onClose} title={title}>
      <form onSubmit={submit}>
        <Stack>
          {children}
          {change.error && <ErrorNotice error={change.error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button
              type="submit"
              color={danger ? "red" : "indigo"}
              loading={change.isPending}
              disabled={disabled}
            >
              {verb}
            </Button>
          </Group>
        </Stack>
      </form>
    </Window>
  );
}
