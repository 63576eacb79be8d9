import { Alert, Button, Group, Tabs, Textarea } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { Link } from "@tanstack/react-router";
import { type KeyboardEvent, useState } from "react";
import { useModels, useRateLimits } from "../api/queries.ts";
import { asContent } from "../rules/answer.ts";
import { isOfLimit } from "../rules/limits.ts";
import { baseUrl } from "../rules/origins.ts";
import {
  askedOf,
  bodyOf,
  callsOf,
  type Fields,
  jsonFault,
  type ModelChoice,
  modelChoices,
  type Turn,
} from "../rules/playground.ts";
import { type Body, type Language, snippet } from "../rules/snippets.ts";
import { useCan, useSession } from "../session.tsx";
import { ErrorNotice, Loaded } from "../ui/notices.tsx";
import { Head, Lines } from "../ui/parts.tsx";
import { Window } from "../ui/Window.tsx";
import { Meter } from "./playground/Meter.tsx";
import { Parameters } from "./playground/Parameters.tsx";
import { ToolResults } from "./playground/ToolResults.tsx";
import { AnswerView, TurnList } from "./playground/Turns.tsx";
import { useAnswer } from "./playground/useAnswer.ts";

const NO_FIELDS: Fields = {
  model: "",
  system: "",
  maxTokens: 1024,
  temperature: null,
  cached: false,
  tools: "",
  more: "",
};

/** A conversation with a model, as a program would have it. */
export function Playground() {
  const { workspaces } = useSession();
  const [workspace, setWorkspace] = useState<string | undefined>(
    (workspaces.find((each) => each.is_default) ?? workspaces[0])?.id,
  );
  const models = useModels(workspace);
  const can = useCan();
  // The listing of models has their ids; a group of rate limits also has all their other names.
  const { data: groups = [] } = useRateLimits(can("limits.read"));
  return (
    <>
      <Head title="Playground">
        Talk to a model, and see the request that a program would send. What you use here is counted
        without a key.
      </Head>
      <Loaded query={models} what="the models">
        {(found) => (
          <Conversation
            models={modelChoices(found, groups)}
            workspace={workspace}
            onWorkspace={setWorkspace}
          />
        )}
      </Loaded>
    </>
  );
}

function Conversation({
  models,
  workspace,
  onWorkspace,
}: {
  models: ModelChoice[];
  workspace: string | undefined;
  onWorkspace: (workspace: string) => void;
}) {
  const can = useCan();
  const [fields, setFields] = useState<Fields>({
    ...NO_FIELDS,
    model: models[0]?.items[0]?.value ?? "",
  });
  const [turns, setTurns] = useState<Turn[]>([]);
  const [draft, setDraft] = useState("");
  const [asCode, code] = useDisclosure(false);
  const { progress, error, busy, start, stop } = useAnswer();
  const faulty = jsonFault(fields.tools, "list") ?? jsonFault(fields.more, "object");
  const waiting = busy ? [] : callsOf(turns.at(-1));
  const next: Turn[] = draft.trim() ? [...turns, { role: "user", content: draft }] : turns;
  const ready = !busy && !faulty && fields.model !== "" && next.at(-1)?.role === "user";

  const run = async (messages: Turn[]) => {
    const before = turns;
    const typed = draft;
    setTurns(messages);
    setDraft("");
    const answer = await start(bodyOf(fields, messages), workspace);
    if (answer === null) {
      // A refused request leaves everything as it was typed.
      setTurns(before);
      setDraft(typed);
      return;
    }
    const content = asContent(answer);
    if (content.length) setTurns([...messages, { role: "assistant", content }]);
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && ready) void run(next);
  };

  return (
    <div className="playground">
      <div>
        <TurnList
          turns={turns}
          onRemove={busy ? null : (index) => setTurns(turns.slice(0, index))}
        />
        {busy && progress && <AnswerView answer={progress.answer} />}
        {progress && <Meter progress={progress} busy={busy} />}
        {error && (
          <ErrorNotice error={error}>
            {isOfLimit(error) && can("limits.read") && (
              <Link to="/limits">Ask for a higher limit</Link>
            )}
          </ErrorNotice>
        )}
        {progress?.answer.error && (
          <Alert color="red" variant="light" role="alert" my="sm">
            The answer broke off: {progress.answer.error}
          </Alert>
        )}
        {waiting.length ? (
          <ToolResults
            key={waiting.map((call) => call.id).join()}
            calls={waiting}
            onSend={(content) => void run([...turns, { role: "user", content }])}
          />
        ) : (
          <Textarea
            label="Your message"
            placeholder="Ask something. Ctrl+Enter sends it."
            autosize
            minRows={3}
            maxRows={16}
            mt={turns.length || progress ? "md" : 0}
            value={draft}
            onChange={(event) => setDraft(event.currentTarget.value)}
            onKeyDown={onKey}
          />
        )}
        <Group mt="sm">
          {busy ? (
            <Button color="red" onClick={stop}>
              Stop
            </Button>
          ) : (
            waiting.length === 0 && (
              <Button disabled={!ready} onClick={() => void run(next)}>
                Send
              </Button>
            )
          )}
          <Button variant="default" onClick={code.open}>
            Show as code
          </Button>
          {turns.length > 0 && !busy && (
            <Button variant="subtle" color="gray" onClick={() => setTurns([])}>
              Start again
            </Button>
          )}
        </Group>
      </div>
      <Parameters
        fields={fields}
        onChange={setFields}
        models={models}
        workspace={workspace}
        onWorkspace={onWorkspace}
        messages={next}
      />
      {asCode && <AsCode body={bodyOf(fields, askedOf(next))} onClose={code.close} />}
    </div>
  );
}

const LANGUAGES: readonly (readonly [Language, string])[] = [
  ["curl", "curl"],
  ["python", "Python"],
  ["typescript", "TypeScript"],
];

function AsCode({ body, onClose }: { body: Body; onClose: () => void }) {
  return (
    <Window onClose={onClose} size="xl" title="This request as code">
      <Tabs defaultValue="curl" keepMounted={false}>
        <Tabs.List mb="md">
          {LANGUAGES.map(([language, name]) => (
            <Tabs.Tab key={language} value={language}>
              {name}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {LANGUAGES.map(([language, name]) => (
          <Tabs.Panel key={language} value={language}>
            <Lines text={snippet(language, baseUrl(), body)} label={`the ${name}`} />
          </Tabs.Panel>
        ))}
      </Tabs>
    </Window>
  );
}
