import { Button, Group } from "@mantine/core";
import type { Answer } from "../../rules/answer.ts";
import { asContent } from "../../rules/answer.ts";
import type { Turn } from "../../rules/playground.ts";

const NAMES = { user: "You", assistant: "Model" } as const;

// biome-ignore lint/suspicious/noExplicitAny: content as the API takes it
function Content({ block }: { block: any }) {
  switch (block.type) {
    case "text":
      return <div className="words">{block.text}</div>;
    case "thinking":
      return <div className="words thought">{block.thinking}</div>;
    case "redacted_thinking":
      return <div className="words thought">Thinking that is not shown.</div>;
    case "tool_use":
      return (
        <pre className="code wrapped">
          {block.name} {JSON.stringify(block.input, null, 2)}
        </pre>
      );
    case "tool_result":
      return <pre className="code wrapped">{block.content}</pre>;
    default:
      return null;
  }
}

function Parts({ content }: { content: Turn["content"] }) {
  if (typeof content === "string") return <div className="words">{content}</div>;
  return content.map((block, index) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: blocks are only ever added at the end
    <Content key={index} block={block} />
  ));
}

/** The turns so far; each can be taken back, with all that came after it. */
export function TurnList({
  turns,
  onRemove,
}: {
  turns: readonly Turn[];
  onRemove: ((index: number) => void) | null;
}) {
  if (!turns.length) return null;
  return (
    <ol className="turns" aria-label="Conversation">
      {turns.map((turn, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: turns are only ever added at the end
        <li key={index}>
          <Group justify="space-between" align="flex-start" wrap="nowrap">
            <h2>{NAMES[turn.role]}</h2>
            {onRemove && (
              <Button
                size="compact-xs"
                variant="subtle"
                color="gray"
                aria-label={`Remove turn ${index + 1} and all after it`}
                onClick={() => onRemove(index)}
              >
                Remove
              </Button>
            )}
          </Group>
          <Parts content={turn.content} />
        </li>
      ))}
    </ol>
  );
}

/** An answer that is still being written. */
export function AnswerView({ answer }: { answer: Answer }) {
  const content = asContent(answer);
  return (
    <div className="turns" aria-busy="true">
      <h2>{NAMES.assistant}</h2>
      {content.length ? <Parts content={content} /> : <div className="words thought">…</div>}
    </div>
  );
}
