import type { Batch } from "../api/types.ts";
import { dollars, nanoDollars } from "./money.ts";
import { WHOLE } from "./numbers.ts";

/** Return how many requests a batch has. */
export function requestsOf({ request_counts: counts }: Pick<Batch, "request_counts">): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** Return the finished part of a batch, from 0 to 1. */
export function batchProgress(batch: Pick<Batch, "request_counts">): number {
  const all = requestsOf(batch);
  return all ? (all - batch.request_counts.processing) / all : 1;
}

/** Return how many requests of a batch ended in each way, in words; empty while none has. */
export function outcomesOf({ request_counts: counts }: Pick<Batch, "request_counts">): string {
  const ways = ["succeeded", "errored", "canceled", "expired"] as const;
  const told = ways.filter((way) => counts[way] > 0);
  return told.map((way) => `${WHOLE.format(counts[way])} ${way}`).join(", ");
}

/** The smallest program that sends a batch. */
export function firstBatch(baseUrl: string, model: string): string {
  return `import anthropic

# The key is read from ANTHROPIC_API_KEY; the batch is in its workspace.
client = anthropic.Anthropic(base_url=${JSON.stringify(baseUrl)})
questions = {"cats": "May I keep a cat?", "dogs": "May I keep a dog?"}

batch = client.messages.batches.create(requests=[
    {
        "custom_id": name,
        "params": {
            "model": ${JSON.stringify(model)},
            "max_tokens": 256,
            "messages": [{"role": "user", "content": question}],
        },
    }
    for name, question in questions.items()
])
print(batch.id)
`;
}

/** Return whether a batch waits for money: a spend limit stops it, or what others hold. */
export function isOfMoney(waitsFor: string): boolean {
  return /spend|You have reached|money/i.test(waitsFor);
}

/** What keeps a batch from going on as fast as it could: the server's reason, and what follows. */
export interface Hindrance {
  state: "Waiting" | "Slow";
  reason: string;
  advice: string;
  /** A higher spend limit would help. */
  ofMoney: boolean;
}

/** Return what hinders a batch; null if nothing does. */
export function hindranceOf({
  waits_for: waits,
  slowed_by: slowed,
}: Pick<Batch, "waits_for" | "slowed_by">): Hindrance | null {
  if (waits) {
    const ofMoney = isOfMoney(waits);
    const advice = ofMoney
      ? "It goes on by itself when there is money again."
      : "It goes on by itself; you need not send it again.";
    return { state: "Waiting", reason: waits, advice, ofMoney };
  }
  if (!slowed) return null;
  const makesWay = slowed.startsWith("Interactive requests");
  const advice = makesWay
    ? "The batch goes on by itself, whenever they leave room."
    : "Near a spend limit only so many requests run at once as the rest can pay for.";
  return { state: "Slow", reason: slowed, advice, ofMoney: !makesWay };
}

/** Return what a batch has cost so far; a dash while that is nothing. */
export function costOf({ cost }: Pick<Batch, "cost">): string {
  return cost ? dollars(nanoDollars(cost.amount)) : "–";
}
