// What the body of an error says.

/** Return what the JSON of an error says, as far as it is one of the API. */
export function errorIn(value: unknown): {
  message: string | null;
  type: string | null;
  details: Record<string, unknown>;
} {
  const envelope = isRecord(value) && isRecord(value.error) ? value.error : {};
  const { message, type, details } = envelope;
  return {
    message: typeof message === "string" ? message : null,
    type: typeof type === "string" ? type : null,
    details: isRecord(details) ? details : {},
  };
}

/** Return whether a value is an object with fields. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
