import { callerWithoutKey } from "../rules/requests.ts";

/** Who sent a request: a key by its name, a user of the Console, or the command line. */
export function Caller({
  request,
  names,
}: {
  request: { api_key_id: string | null; account_id: string | null; batch_id: string | null };
  names: ReadonlyMap<string, string> | undefined;
}) {
  const key = request.api_key_id;
  if (key === null) return <>{callerWithoutKey(request)}</>;
  const name = names?.get(key);
  return (
    <span className={name ? "name" : "mono name"} title={key}>
      {name ?? key}
    </span>
  );
}
