// The request id of a result: beside its fields, so that it can be sent back or stored as it is.

const NAME = "_request_id";

/** Return the id that the server gave the request of a result, `null` if it gave none. */
export function requestIdOf(result: object): string | null {
  const id: unknown = (result as Record<string, unknown>)[NAME];
  return typeof id === "string" ? id : null;
}

/** Keep the id of its request with a result. */
export function keepRequestId(result: object, requestId: string | null): void {
  Object.defineProperty(result, NAME, { value: requestId, enumerable: false });
}
