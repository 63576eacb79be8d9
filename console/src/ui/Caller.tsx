/** Who sent a request: a key by its name, or a user of the Console. */
export function Caller({
  request,
  names,
}: {
  request: { api_key_id: string | null; account_id: string | null };
  names: ReadonlyMap<string, string> | undefined;
}) {
  const { api_key_id: key, account_id: user } = request;
  if (key === null) return <>{user === null ? "Unknown" : "Console"}</>;
  const name = names?.get(key);
  return (
    <span className={name ? "name" : "mono name"} title={key}>
      {name ?? key}
    </span>
  );
}
