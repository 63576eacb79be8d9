import { Alert, Button, Stack, Text, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { ask } from "../api/client.ts";
import type { Session } from "../api/types.ts";
import { useConsoleInfo, useSwitchSession } from "../session.tsx";
import { Gate } from "../ui/Gate.tsx";
import { NewPassword } from "../ui/NewPassword.tsx";
import { ErrorNotice } from "../ui/notices.tsx";
import { useOneTimeToken } from "../ui/oneTime.ts";
import { ProviderButton } from "../ui/Provider.tsx";

/** Makes the account of an invited person. */
export function AcceptInvite() {
  const token = useOneTimeToken();
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const { data: info } = useConsoleInfo();
  const switchSession = useSwitchSession();
  const navigate = useNavigate();
  const accept = useMutation({
    mutationFn: () =>
      ask<Session>("POST", "/v1/console/invites/accept", {
        body: { token, name: name.trim(), password },
      }),
    onSuccess: (session) => {
      switchSession(session);
      void navigate({ to: "/" });
    },
  });
  if (!token) {
    return (
      <Gate title="This link is not whole">
        <Alert color="yellow" variant="light" mt="md">
          Copy the whole link of your invitation, with everything after the #, or ask who invited
          you for a new one.
        </Alert>
      </Gate>
    );
  }
  const submit = (event: FormEvent) => {
    event.preventDefault();
    accept.mutate();
  };
  const passwords = info?.passwords ?? true;
  const byProvider = info?.oidc && (
    <Stack mt="lg">
      <ProviderButton
        label={`Join with ${info.oidc.name}`}
        returnTo="/console/"
        divided={passwords}
      />
    </Stack>
  );
  if (!passwords) {
    return (
      <Gate title="Join the organization">
        <Text c="dimmed">You were invited. Sign in with the e-mail address of the invitation.</Text>
        {byProvider}
      </Gate>
    );
  }
  return (
    <Gate title="Join the organization">
      <Text c="dimmed">You were invited. Choose how you sign in from now on.</Text>
      {byProvider}
      <form onSubmit={submit}>
        <Stack mt="lg">
          <TextInput
            label="Your name"
            name="name"
            autoComplete="name"
            required
            autoFocus
            maxLength={200}
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          <NewPassword value={password} onChange={setPassword} />
          {accept.error && <ErrorNotice error={accept.error} />}
          <Button type="submit" loading={accept.isPending}>
            Join
          </Button>
        </Stack>
      </form>
    </Gate>
  );
}
