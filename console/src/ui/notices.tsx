import { Alert, Button, Code, Loader, Text } from "@mantine/core";
import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { ApiError } from "../api/client.ts";
import { isLogged } from "../rules/requests.ts";
import { useMaySee } from "../session.tsx";
import { RequestId } from "./RequestId.tsx";

/** What a person can do about an error, by its type. */
function advice(error: Error): string | null {
  if (!(error instanceof ApiError)) return null;
  if (error.retryAfterS !== null) return `Try again in ${Math.ceil(error.retryAfterS)} seconds.`;
  if (error.status === 403) return "Your role does not allow this. An administrator can change it.";
  return null;
}

/** An error in the API's own words, with the id by which the server's log names the request. */
export function ErrorNotice({
  error,
  onRetry,
  children,
}: {
  error: Error;
  onRetry?: () => void;
  /** What else helps. */
  children?: ReactNode;
}) {
  const maySee = useMaySee("requests.read");
  const requestId = error instanceof ApiError ? error.requestId : null;
  const logged = error instanceof ApiError && error.path !== null && isLogged(error.path);
  const more = advice(error);
  return (
    <Alert color="red" variant="light" title="This did not work" role="alert" my="sm">
      <Text size="sm">{error.message}</Text>
      {more && <Text size="sm">{more}</Text>}
      {children && <Text size="sm">{children}</Text>}
      {requestId && (
        <Text size="sm" mt={6}>
          Request {maySee && logged ? <RequestId id={requestId} whole /> : <Code>{requestId}</Code>}
        </Text>
      )}
      {onRetry && (
        <Button size="xs" mt="sm" variant="default" onClick={onRetry}>
          Try again
        </Button>
      )}
    </Alert>
  );
}

/** An empty list: what would be here, and what to do next. */
export function Empty({
  title,
  children,
  action,
}: {
  title: string;
  children: ReactNode;
  action?: ReactNode;
}) {
  return (
    <div className="empty">
      <h2>{title}</h2>
      <p>{children}</p>
      {action}
    </div>
  );
}

export function Loading({ what }: { what: string }) {
  return (
    <div className="empty" role="status">
      <Loader size="sm" aria-hidden />
      <p>Loading {what}</p>
    </div>
  );
}

/** The result of a query: while it loads, when it fails, and when it is there. */
export function Loaded<Data>({
  query,
  what,
  children,
}: {
  query: UseQueryResult<Data>;
  what: string;
  children: (data: Data) => ReactNode;
}) {
  if (query.data !== undefined) return <>{children(query.data)}</>;
  if (query.error) return <ErrorNotice error={query.error} onRetry={() => void query.refetch()} />;
  return <Loading what={what} />;
}
