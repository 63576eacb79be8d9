import { Alert, Button, Stack, Text } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { ask } from "../api/client.ts";
import type { Session } from "../api/types.ts";
import { useSwitchSession } from "../session.tsx";
import { Gate } from "../ui/Gate.tsx";
import { ErrorNotice } from "../ui/notices.tsx";
import { useOneTimeToken } from "../ui/oneTime.ts";

/** Signs in by a link that whoever runs the server has printed; then a new password can be set. */
export function SignInByLink() {
  const token = useOneTimeToken();
  const switchSession = useSwitchSession();
  const navigate = useNavigate();
  const signIn = useMutation({
    mutationFn: () => ask<Session>("POST", "/v1/console/session/link", { body: { token } }),
    onSuccess: (session) => {
      switchSession(session);
      void navigate({ to: "/account" });
    },
  });
  if (!token) {
    return (
      <Gate title="This link is not whole">
        <Alert color="yellow" variant="light" mt="md">
          Copy the whole link, with everything after the #. To print a new one, run{" "}
          <code>antiphon console open</code> on the server's machine.
        </Alert>
      </Gate>
    );
  }
  return (
    <Gate title="Sign in by a link">
      <Stack mt="lg">
        <Text c="dimmed">The link works once. You can set a new password afterwards.</Text>
        {signIn.error && <ErrorNotice error={signIn.error} />}
        <Button autoFocus loading={signIn.isPending} onClick={() => signIn.mutate()}>
          Sign in
        </Button>
      </Stack>
    </Gate>
  );
}
