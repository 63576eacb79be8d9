import { Alert, Anchor, Stack, Text } from "@mantine/core";
import { useLocation } from "@tanstack/react-router";
import { UNREACHED } from "../rules/oidc.ts";
import { useConsoleInfo, useSessionQuery } from "../session.tsx";
import { Gate } from "../ui/Gate.tsx";

/** Where a provider sends the browser after a sign-out there. */
export function SignedOut() {
  const { hash } = useLocation();
  const session = useSessionQuery();
  const { data: info } = useConsoleInfo();
  const provider = info?.oidc?.name ?? "the identity provider";
  if (session.data) {
    return (
      <Gate title="You are signed in">
        <Stack mt="lg">
          <Anchor href="/console/">Go to the Console</Anchor>
        </Stack>
      </Gate>
    );
  }
  return (
    <Gate title="You are signed out">
      <Stack mt="lg">
        {hash === UNREACHED ? (
          <Alert color="yellow" variant="light" role="alert">
            You are signed out here. The server could not reach {provider}, so sign out there
            yourself.
          </Alert>
        ) : (
          <Text c="dimmed">You are signed out here, and of {provider} if you agreed there.</Text>
        )}
        <Anchor href="/console/">Sign in again</Anchor>
      </Stack>
    </Gate>
  );
}
