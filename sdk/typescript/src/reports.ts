// `antiphon/reports`: reports as flat rows, as a table or a file of CSV takes them.

import { isRecord } from "./error_body.ts";

/** A bucket of a report, whatever it is of. */
interface Bucket {
  starting_at: string;
  ending_at: string;
  results: readonly object[];
}

/**
 * Yield a row for each result of the buckets, with the times of its bucket.
 *
 * Fields of fields have names such as `cache_creation.ephemeral_5m_input_tokens`.
 *
 *     for await (const row of flatRows(client.organization.usageReport({ starting_at }))) …
 */
export async function* flatRows(
  buckets: AsyncIterable<Bucket> | Iterable<Bucket>,
): AsyncGenerator<Record<string, unknown>> {
  for await (const { starting_at, ending_at, results } of buckets) {
    for (const result of results) yield { starting_at, ending_at, ...flat(result, "") };
  }
}

function flat(value: object, before: string): Record<string, unknown> {
  const row: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(value)) {
    if (isRecord(field)) Object.assign(row, flat(field, `${before}${name}.`));
    else row[before + name] = field;
  }
  return row;
}
