import { Checkbox, JsonInput, NumberInput, Select, Stack, Text, Textarea } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { SAMPLING_VERSION } from "../../api/client.ts";
import { answered, clientIn, MESSAGES } from "../../api/sdk.ts";
import {
  bodyOf,
  countBodyOf,
  type Fields,
  jsonFault,
  type ModelChoice,
  type Turn,
} from "../../rules/playground.ts";
import { useSession } from "../../session.tsx";

const PAUSE_MS = 500;

/** Everything of a request but its turns. */
export function Parameters({
  fields,
  onChange,
  models,
  workspace,
  onWorkspace,
  messages,
}: {
  fields: Fields;
  onChange: (fields: Fields) => void;
  models: ModelChoice[];
  workspace: string | undefined;
  onWorkspace: (workspace: string) => void;
  messages: readonly Turn[];
}) {
  const { workspaces } = useSession();
  const set = (change: Partial<Fields>) => onChange({ ...fields, ...change });
  return (
    <Stack component="section" aria-label="Parameters">
      <Select
        label="Model"
        allowDeselect={false}
        searchable
        data={models}
        value={fields.model}
        onChange={(model) => set({ model: model ?? "" })}
      />
      {workspaces.length > 1 && (
        <Select
          label="Workspace"
          allowDeselect={false}
          data={workspaces.map(({ id, name }) => ({ value: id, label: name }))}
          value={workspace ?? null}
          onChange={(chosen) => chosen && onWorkspace(chosen)}
        />
      )}
      <Textarea
        label="System"
        autosize
        minRows={2}
        maxRows={10}
        value={fields.system}
        onChange={(event) => set({ system: event.currentTarget.value })}
      />
      <NumberInput
        label="Most tokens of the answer"
        min={1}
        allowDecimal={false}
        hideControls
        value={fields.maxTokens}
        onChange={(value) => set({ maxTokens: Number(value) || 1 })}
      />
      <NumberInput
        label="Temperature"
        placeholder="The model's own"
        min={0}
        max={1}
        step={0.1}
        decimalScale={2}
        hideControls
        value={fields.temperature ?? ""}
        onChange={(value) => set({ temperature: value === "" ? null : Number(value) })}
      />
      <Checkbox
        label="Cache the conversation"
        checked={fields.cached}
        onChange={(event) => set({ cached: event.currentTarget.checked })}
      />
      <JsonInput
        label="Tools"
        description="A list, as the API takes it"
        autosize
        minRows={2}
        maxRows={12}
        value={fields.tools}
        error={jsonFault(fields.tools, "list")}
        onChange={(tools) => set({ tools })}
      />
      <JsonInput
        label="More parameters"
        description="An object, such as {&quot;stop_sequences&quot;: [&quot;END&quot;]}"
        autosize
        minRows={2}
        maxRows={12}
        value={fields.more}
        error={jsonFault(fields.more, "object")}
        onChange={(more) => set({ more })}
      />
      <PromptSize fields={fields} messages={messages} workspace={workspace} />
    </Stack>
  );
}

/** The exact size of the prompt, counted by the server a moment after the last change. */
function PromptSize({
  fields,
  messages,
  workspace,
}: {
  fields: Fields;
  messages: readonly Turn[];
  workspace: string | undefined;
}) {
  // A prompt ends with a turn of the user; after an answer there is none until the next is typed.
  const isAsked = messages.at(-1)?.role === "user";
  const [body] = useDebouncedValue(
    isAsked ? JSON.stringify(countBodyOf(bodyOf(fields, messages))) : null,
    PAUSE_MS,
  );
  const count = useQuery({
    queryKey: ["count", workspace, body],
    queryFn: ({ signal }) =>
      answered(
        MESSAGES,
        clientIn(workspace, SAMPLING_VERSION).messages.countTokens(JSON.parse(body ?? ""), {
          signal,
        }),
      ),
    enabled: body !== null && fields.model !== "",
    placeholderData: keepPreviousData,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 60_000,
    retry: false,
  });
  if (!isAsked) return null;
  return (
    <Text size="sm" c="dimmed" role="status">
      {count.error
        ? count.error.message
        : `The prompt has ${count.data?.input_tokens ?? "…"} tokens.`}
    </Text>
  );
}
