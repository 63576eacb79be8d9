import { useQueryClient } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { ApiError, isSignedOut } from "../../api/client.ts";
import { asApiError, streamMessage } from "../../api/sdk.ts";
import { type Answer, brokenOff, EMPTY, fold } from "../../rules/answer.ts";
import type { Body } from "../../rules/snippets.ts";
import { SESSION_KEY } from "../../session.tsx";

export interface Progress {
  answer: Answer;
  /** From the press of the button to the first text, in milliseconds. */
  firstTokenMs: number | null;
  /** From the press of the button to the last event so far, in milliseconds. */
  elapsedMs: number;
  /** Pieces of text so far: nearly its tokens, which the API tells at the end. */
  pieces: number;
  requestId: string | null;
}

/** Streams one answer at a time. */
export function useAnswer() {
  const [progress, setProgress] = useState<Progress | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const running = useRef<AbortController | null>(null);
  const queries = useQueryClient();
  const [busy, setBusy] = useState(false);

  /** Send a request; return its answer as far as it came, or null for one that was refused. */
  const start = async (body: Body, workspace: string | undefined): Promise<Answer | null> => {
    running.current?.abort();
    const abort = new AbortController();
    running.current = abort;
    const began = performance.now();
    let now: Progress = {
      answer: EMPTY,
      firstTokenMs: null,
      elapsedMs: 0,
      pieces: 0,
      requestId: null,
    };
    setBusy(true);
    setError(null);
    setProgress(now);
    let reached = false;
    try {
      const stream = streamMessage(body, workspace, abort.signal);
      await stream.response();
      reached = true;
      now = { ...now, requestId: stream.requestId };
      for await (const event of stream) {
        const isPiece = event.type === "content_block_delta";
        const elapsedMs = performance.now() - began;
        now = {
          ...now,
          answer: fold(now.answer, event),
          elapsedMs,
          firstTokenMs: now.firstTokenMs ?? (isPiece ? elapsedMs : null),
          pieces: now.pieces + (isPiece ? 1 : 0),
        };
        setProgress(now);
      }
    } catch (thrown) {
      const failure = asApiError(thrown);
      if (abort.signal.aborted) {
        // A press on Stop keeps what has come so far.
      } else if (reached && failure instanceof ApiError && failure.status !== 0) {
        now = { ...now, answer: brokenOff(now.answer, failure.message) };
        setProgress(now);
      } else setError(failure);
      if (isSignedOut(failure)) void queries.invalidateQueries({ queryKey: SESSION_KEY });
    } finally {
      setBusy(false);
    }
    return reached ? now.answer : null;
  };
  return { progress, error, busy, start, stop: () => running.current?.abort() };
}
