// How a list is ordered, as the address of a page says it: "name" rises, "-name" falls.

/** Return the order that an address names, if the list has it. */
export function orderIn(names: readonly string[], value: unknown): string | undefined {
  if (typeof value !== "string") return undefined;
  return names.includes(value.replace(/^-/, "")) ? value : undefined;
}

/** Return the column of an order, and whether it falls. */
export function partsOf(order: string): { by: string; falls: boolean } {
  return { by: order.replace(/^-/, ""), falls: order.startsWith("-") };
}

/** Return the order after a click on a column: names rise at first, times fall. */
export function orderAfter(now: string, by: string): string {
  const current = partsOf(now);
  if (current.by === by) return current.falls ? by : `-${by}`;
  return by.endsWith("_at") ? `-${by}` : by;
}

/** Return the parameters of the API for an order. */
export function orderQuery(order: string): { order_by: string; order: "asc" | "desc" } {
  const { by, falls } = partsOf(order);
  return { order_by: by, order: falls ? "desc" : "asc" };
}
