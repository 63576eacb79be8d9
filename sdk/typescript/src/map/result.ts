// What a map has for one row.

import { AntiphonError, eventError } from "../errors.ts";
import type { Message, MessageBatchResult } from "../wire.ts";

/** A row has no message. `result` is what the batch says about it. */
export class RowError extends AntiphonError {
  readonly result: MessageBatchResult;

  constructor(message: string, result: MessageBatchResult) {
    super(message);
    this.result = result;
  }
}

/** The row was not answered within a day. */
export class RowExpiredError extends RowError {}

/** The batch of the row was cancelled before the row was begun. */
export class RowCanceledError extends RowError {}

/** What a map has for one row: its message, or the error that it ended with. */
export class MapResult {
  /** The number of the row, from 0. */
  readonly row: number;
  readonly custom_id: string;
  readonly result: MessageBatchResult;
  /** In how many batches it was. */
  readonly tries: number;

  constructor(row: number, customId: string, result: MessageBatchResult, tries: number) {
    this.row = row;
    this.custom_id = customId;
    this.result = result;
    this.tries = tries;
  }

  /** Whether there is a message. */
  get ok(): boolean {
    return this.result.type === "succeeded";
  }

  /** The message. Throws `error` if there is none. */
  get message(): Message {
    if (this.result.type === "succeeded") return this.result.message;
    throw this.error;
  }

  /** What the row ended with: an `APIStatusError`, a `RowError`, or nothing. */
  get error(): AntiphonError | null {
    const { custom_id: id, result } = this;
    switch (result.type) {
      case "succeeded":
        return null;
      case "errored": {
        const { request_id } = result.error;
        const headers = request_id ? { "request-id": request_id } : {};
        return eventError(result.error, new Response(null, { status: 500, headers }));
      }
      case "expired":
        return new RowExpiredError(`${id}: the row was not answered within a day`, result);
      case "canceled":
        return new RowCanceledError(
          `${id}: the batch was cancelled before the row was begun`,
          result,
        );
      default:
        return new RowError(`${id}: a result of an unknown type`, result);
    }
  }
}
