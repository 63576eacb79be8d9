/** A person in a list to choose from. */
export interface Choice {
  value: string;
  label: string;
}

/**
 * Return people to choose from. The address tells them apart; who does not see addresses gets the end
 * of the id where two have the same name.
 */
export function choices(
  people: readonly { id: string; name: string }[],
  addresses: ReadonlyMap<string, string>,
): Choice[] {
  const alike = new Map<string, number>();
  for (const { name } of people) alike.set(name, (alike.get(name) ?? 0) + 1);
  return people.map(({ id, name }) => {
    const address = addresses.get(id) ?? ((alike.get(name) ?? 0) > 1 ? `…${id.slice(-6)}` : null);
    return { value: id, label: address === null ? name : `${name} (${address})` };
  });
}
