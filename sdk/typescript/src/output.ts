// `antiphon/output`: values of a schema in streams and batches. `messages.parse` is for whole messages.
//
//     const stream = client.messages.stream({ …, output_config: { format: formatOf(Person) } });
//     for await (const _ of stream.textStream) console.log(partialValueIn(stream.snapshot));
//     const person = await valueIn(await stream.finalMessage(), Person);

import { partialJson } from "./partial.ts";
import { textOf } from "./schema.ts";
import type { Message } from "./wire.ts";

export { formatOf, valueIn } from "./schema.ts";

/**
 * Return the value of a message that is not whole, as far as it is certain: it is not checked.
 *
 * `undefined` if nothing is certain. Throws `SyntaxError` for what is not the beginning of JSON.
 */
export function partialValueIn(message: Pick<Message, "content"> | undefined): unknown {
  return message && partialJson(textOf(message));
}
