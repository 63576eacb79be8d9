import { Button } from "@mantine/core";
import { Outlet } from "@tanstack/react-router";
import { SignIn } from "./pages/SignIn.tsx";
import { SessionProvider, useConsoleInfo, useSessionQuery } from "./session.tsx";
import { ErrorNotice, Loading } from "./ui/notices.tsx";
import { Shell } from "./ui/Shell.tsx";

/** The outermost frame: says when the server was upgraded under this tab. */
export function Frame() {
  const { data: info } = useConsoleInfo();
  const upgraded = info !== undefined && info.version !== __ANTIPHON_VERSION__;
  return (
    <>
      {upgraded && (
        <div className="banner" role="status">
          The server now runs Antiphon {info.version}; this tab is of {__ANTIPHON_VERSION__}.
          <Button size="xs" variant="default" onClick={() => window.location.reload()}>
            Reload
          </Button>
        </div>
      )}
      <Outlet />
    </>
  );
}

/**
 * The pages that need a session. Without one the sign-in stands in their place, at the same
 * address: there is no address to return to that somebody else could choose.
 */
export function SignedIn() {
  const session = useSessionQuery();
  if (session.data) {
    return (
      <SessionProvider value={session.data}>
        <Shell />
      </SessionProvider>
    );
  }
  if (session.data === null) return <SignIn />;
  return (
    <div className="gate">
      <main>
        {session.error ? (
          <ErrorNotice error={session.error} onRetry={() => void session.refetch()} />
        ) : (
          <Loading what="your session" />
        )}
      </main>
    </div>
  );
}
