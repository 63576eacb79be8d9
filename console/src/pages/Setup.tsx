import { Alert, Button, Stack, Text, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { ask } from "../api/client.ts";
import type { Session } from "../api/types.ts";
import { useSwitchSession } from "../session.tsx";
import { Gate } from "../ui/Gate.tsx";
import { NewPassword } from "../ui/NewPassword.tsx";
import { ErrorNotice } from "../ui/notices.tsx";
import { useOneTimeToken } from "../ui/oneTime.ts";

/** Makes the first administrator, with the one-time link of the first start. */
export function Setup() {
  const token = useOneTimeToken();
  const [name, setName] = useState("");
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const switchSession = useSwitchSession();
  const navigate = useNavigate();
  const setUp = useMutation({
    mutationFn: () =>
      ask<Session>("POST", "/v1/console/setup", {
        body: { token, email: email.trim(), name: name.trim(), password },
      }),
    onSuccess: (session) => {
      switchSession(session);
      void navigate({ to: "/keys" });
    },
  });
  if (!token) {
    return (
      <Gate title="This link is not whole">
        <Alert color="yellow" variant="light" mt="md">
          Copy the whole link that the server printed, with everything after the #. To print a new
          one, run <code>antiphon console open</code> on the server's machine.
        </Alert>
      </Gate>
    );
  }
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setUp.mutate();
  };
  return (
    <Gate title="Set up the Console">
      <Text c="dimmed">You become the first administrator. You can invite others later.</Text>
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
          <TextInput
            label="E-mail address"
            description="You sign in with it. Nothing is sent to it."
            type="email"
            name="email"
            autoComplete="username"
            required
            value={email}
            onChange={(event) => setEmail(event.currentTarget.value)}
          />
          <NewPassword value={password} onChange={setPassword} />
          {setUp.error && <ErrorNotice error={setUp.error} />}
          <Button type="submit" loading={setUp.isPending}>
            Create the administrator
          </Button>
        </Stack>
      </form>
    </Gate>
  );
}
