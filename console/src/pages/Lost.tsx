import { Button } from "@mantine/core";
import { type ErrorComponentProps, Link } from "@tanstack/react-router";

/** An address that no page has. */
export function NotFound() {
  return (
    <div className="gate">
      <main>
        <h1>There is no such page</h1>
        <p>The address may be old, or a part of it is missing.</p>
        <Button component={Link} to="/">
          To the Console
        </Button>
      </main>
    </div>
  );
}

/**
 * A page that failed to load or to show itself. For a part that an upgrade has removed, the router
 * has reloaded the page once before.
 */
export function Crashed({ error }: ErrorComponentProps) {
  const reason = error instanceof Error ? error.message : String(error);
  return (
    <div className="gate">
      <main>
        <h1>This page failed</h1>
        <p role="alert">{reason}</p>
        <Button onClick={() => window.location.reload()}>Load it again</Button>
      </main>
    </div>
  );
}
