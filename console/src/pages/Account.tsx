import { Alert, Button, PasswordInput, Stack } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { ask } from "../api/client.ts";
import type { Session } from "../api/types.ts";
import { roleName } from "../rules/roles.ts";
import { useSession, useSwitchSession } from "../session.tsx";
import { NewPassword } from "../ui/NewPassword.tsx";
import { ErrorNotice } from "../ui/notices.tsx";
import { Head, Time } from "../ui/parts.tsx";

export function Account() {
  const { user, organization, expires_at } = useSession();
  const [current, setCurrent] = useState("");
  const [chosen, setChosen] = useState("");
  const switchSession = useSwitchSession();
  const change = useMutation({
    mutationFn: () =>
      ask<Session>("POST", "/v1/console/password", {
        body: { ...(current ? { current_password: current } : {}), new_password: chosen },
      }),
    onSuccess: (session) => {
      switchSession(session);
      setCurrent("");
      setChosen("");
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    change.mutate();
  };
  return (
    <>
      <Head title="Account">
        {user.name} ({user.email}), {roleName(user.role)} of {organization.name}. This session ends{" "}
        <Time at={expires_at} relative />.
      </Head>
      <h2 className="section">Change the password</h2>
      <form onSubmit={submit}>
        <Stack maw={400}>
          <input
            type="hidden"
            name="username"
            autoComplete="username"
            value={user.email}
            readOnly
          />
          <PasswordInput
            label="Current password"
            name="password"
            autoComplete="current-password"
            description="Not needed right after a sign-in by a link."
            visibilityToggleButtonProps={{ "aria-label": "Show or hide the password" }}
            value={current}
            onChange={(event) => setCurrent(event.currentTarget.value)}
          />
          <NewPassword value={chosen} onChange={setChosen} label="New password" />
          {change.error && <ErrorNotice error={change.error} />}
          {change.isSuccess && (
            <Alert color="green" variant="light" role="status">
              The password is changed. Your other sessions have ended.
            </Alert>
          )}
          <Button type="submit" loading={change.isPending}>
            Change the password
          </Button>
        </Stack>
      </form>
    </>
  );
}
