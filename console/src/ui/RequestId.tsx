import { Link } from "@tanstack/react-router";

const SHOWN = 14;

/** The id of a request, which leads to its explanation. */
export function RequestId({ id, whole = false }: { id: string; whole?: boolean }) {
  return (
    <Link to="/requests/$request" params={{ request: id }} className="mono" title={id}>
      {whole || id.length <= SHOWN ? id : `${id.slice(0, 8)}…${id.slice(-5)}`}
    </Link>
  );
}
