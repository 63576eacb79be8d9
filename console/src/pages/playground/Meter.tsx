import { duration } from "../../rules/requests.ts";
import { useMaySee } from "../../session.tsx";
import { RequestId } from "../../ui/RequestId.tsx";
import type { Progress } from "./useAnswer.ts";

const WHOLE = new Intl.NumberFormat("en");
/** Three digits: nobody measures a speed more exactly. */
const SPEED = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/** What an answer has used so far, and how fast it came. */
export function Meter({ progress, busy }: { progress: Progress; busy: boolean }) {
  const maySee = useMaySee("requests.read");
  const { answer, firstTokenMs, elapsedMs, pieces, requestId } = progress;
  const { usage } = answer;
  const told = answer.stopReason !== null;
  const output = told ? WHOLE.format(usage.output_tokens) : `about ${WHOLE.format(pieces)}`;
  const seconds = firstTokenMs === null ? 0 : (elapsedMs - firstTokenMs) / 1000;
  const read = usage.cache_read_input_tokens;
  const written = usage.cache_creation_input_tokens;
  const input = usage.input_tokens + read + written;
  // Before its first event, and of a refused request, an answer tells nothing.
  if (input === 0 && !told) return null;
  return (
    <p className="meter" aria-live={busy ? "off" : "polite"} data-testid="meter">
      <span>Input {WHOLE.format(input)} tokens</span>
      {read > 0 && <span>{WHOLE.format(read)} of them from the cache</span>}
      {written > 0 && <span>{WHOLE.format(written)} of them into the cache</span>}
      {(told || pieces > 0) && <span>Output {output} tokens</span>}
      {firstTokenMs !== null && <span>First token after {duration(firstTokenMs)}</span>}
      {told && seconds > 0 && <span>{SPEED.format(usage.output_tokens / seconds)} tokens/s</span>}
      {answer.stopReason && <span>Ended with {answer.stopReason}</span>}
      {requestId &&
        (maySee ? <RequestId id={requestId} whole /> : <span className="mono">{requestId}</span>)}
    </p>
  );
}
