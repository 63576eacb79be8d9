import { Navigate } from "@tanstack/react-router";
import { entriesFor } from "../rules/permissions.ts";
import { useSession } from "../session.tsx";
import { Empty } from "../ui/notices.tsx";
import { Head } from "../ui/parts.tsx";

/** Leads to the first page that the role may see. */
export function Home() {
  const [first] = entriesFor(useSession().permissions);
  if (first) return <Navigate to={first.path} replace />;
  return (
    <>
      <Head title="Welcome" />
      <Empty title="Nothing here yet">
        Your role opens no page of the Console. An administrator can give you another one.
      </Empty>
    </>
  );
}
