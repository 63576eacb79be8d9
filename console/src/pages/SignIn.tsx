import { Alert, Button, PasswordInput, Stack, Text, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { ask } from "../api/client.ts";
import type { Session } from "../api/types.ts";
import { useConsoleInfo, useSwitchSession } from "../session.tsx";
import { Gate } from "../ui/Gate.tsx";
import { ErrorNotice } from "../ui/notices.tsx";
import { ProviderButton } from "../ui/Provider.tsx";

export function SignIn() {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const { data: info } = useConsoleInfo();
  const switchSession = useSwitchSession();
  const signIn = useMutation({
    mutationFn: () =>
      ask<Session>("POST", "/v1/console/session", { body: { email: email.trim(), password } }),
    onSuccess: switchSession,
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    signIn.mutate();
  };
  if (info?.setup_needed) {
    return (
      <Gate title="Set up the Console">
        <Alert color="indigo" variant="light" mt="md">
          Nobody can sign in yet. Open the one-time link that the server printed when it started, or
          print a new one on its machine with <code>antiphon console open</code>.
        </Alert>
      </Gate>
    );
  }
  const passwords = info?.passwords ?? true;
  const { pathname, search } = window.location;
  const byProvider = info?.oidc && (
    <ProviderButton
      label={`Sign in with ${info.oidc.name}`}
      returnTo={pathname + search}
      divided={passwords}
    />
  );
  if (!passwords) {
    return (
      <Gate title="Sign in">
        <Stack mt="lg">
          {byProvider}
          <Text size="sm" c="dimmed">
            No account? An administrator can invite you.
          </Text>
        </Stack>
      </Gate>
    );
  }
  return (
    <Gate title="Sign in">
      <form onSubmit={submit}>
        <Stack mt="lg">
          {byProvider}
          <TextInput
            label="E-mail address"
            type="email"
            name="email"
            autoComplete="username"
            required
            autoFocus
            value={email}
            onChange={(event) => setEmail(event.currentTarget.value)}
          />
          <PasswordInput
            label="Password"
            name="password"
            autoComplete="current-password"
            required
            visibilityToggleButtonProps={{ "aria-label": "Show or hide the password" }}
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
          />
          {signIn.error && <ErrorNotice error={signIn.error} />}
          <Button type="submit" loading={signIn.isPending}>
            Sign in
          </Button>
          <Text size="sm" c="dimmed">
            No account? An administrator can invite you. Whoever runs the server can print a sign-in
            link with <code>antiphon console open</code>.
          </Text>
        </Stack>
      </form>
    </Gate>
  );
}
