import { Alert, Button, Stack, Text, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, type ReactNode, useState } from "react";
import { ask } from "../api/client.ts";
import type { Session } from "../api/types.ts";
import { useSwitchSession } from "../session.tsx";
import { Gate } from "./Gate.tsx";
import { NewPassword } from "./NewPassword.tsx";
import { ErrorNotice } from "./notices.tsx";

/** The form by which a person with a one-time link gets an account, and is signed in. */
export function NewAccount({
  token,
  title,
  verb,
  path,
  to,
  withEmail = false,
  before,
  broken,
  children,
}: {
  /** That of the link; null if it was cut off. */
  token: string | null;
  title: string;
  /** What the button does. */
  verb: string;
  /** Where the API makes the account. */
  path: string;
  /** The page that follows. */
  to: "/" | "/keys";
  /** Whether the person chooses an address; an invite has one. */
  withEmail?: boolean;
  /** Another way to sign in, above the form. */
  before?: ReactNode;
  /** What to do about a link without its token. */
  broken: ReactNode;
  children: ReactNode;
}) {
  const [name, setName] = useState("");
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const switchSession = useSwitchSession();
  const navigate = useNavigate();
  const make = useMutation({
    mutationFn: () =>
      ask<Session>("POST", path, {
        body: { token, name: name.trim(), password, ...(withEmail && { email: email.trim() }) },
      }),
    onSuccess: (session) => {
      switchSession(session);
      void navigate({ to });
    },
  });
  if (!token) {
    return (
      <Gate title="This link is not whole">
        <Alert color="yellow" variant="light" mt="md">
          {broken}
        </Alert>
      </Gate>
    );
  }
  const submit = (event: FormEvent) => {
    event.preventDefault();
    make.mutate();
  };
  return (
    <Gate title={title}>
      <Text c="dimmed">{children}</Text>
      {before}
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
          {withEmail && (
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
          )}
          <NewPassword value={password} onChange={setPassword} />
          {make.error && <ErrorNotice error={make.error} />}
          <Button type="submit" loading={make.isPending}>
            {verb}
          </Button>
        </Stack>
      </form>
    </Gate>
  );
}
