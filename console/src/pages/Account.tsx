import { Alert, Button, PasswordInput, Stack, Text } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { ask } from "../api/client.ts";
import type { Identity, Session } from "../api/types.ts";
import { roleName } from "../rules/roles.ts";
import { useConsoleInfo, useSession, useSwitchSession } from "../session.tsx";
import { Dialog } from "../ui/Dialog.tsx";
import { NewPassword } from "../ui/NewPassword.tsx";
import { ErrorNotice, Loaded } from "../ui/notices.tsx";
import { goToProvider } from "../ui/Provider.tsx";
import { Head, Time } from "../ui/parts.tsx";

const IDENTITY = "/v1/console/identity";
const IDENTITY_KEY = ["identity"] as const;

/** The signed-in user: the session, and the ways to sign in. */
export function Account() {
  const { user, organization, expires_at } = useSession();
  const { data: info } = useConsoleInfo();
  return (
    <>
      <Head title="Account">
        {user.name} ({user.email}), {roleName(user.role)} of {organization.name}. This session ends{" "}
        <Time at={expires_at} relative />.
      </Head>
      {info?.oidc && <Provider name={info.oidc.name} />}
      {info?.passwords && <Password />}
    </>
  );
}

/** The account at the provider, by which the user signs in. */
function Provider({ name }: { name: string }) {
  const [action, setAction] = useState<"link" | "unlink" | null>(null);
  const [current, setCurrent] = useState("");
  const identity = useQuery({
    queryKey: IDENTITY_KEY,
    queryFn: ({ signal }) => ask<Identity>("GET", IDENTITY, { signal }),
  });
  return (
    <>
      <h2 className="section">{name}</h2>
      <Loaded query={identity} what="your account there">
        {({ linked_at, has_password }) => (
          <Stack maw={400} align="flex-start">
            <Text size="sm">
              {linked_at ? (
                <>
                  You sign in with your account there. It was linked{" "}
                  <Time at={linked_at} relative />.
                </>
              ) : (
                "Link your account there once, and sign in with it from then on."
              )}
            </Text>
            {!linked_at && (
              <Button variant="default" onClick={() => setAction("link")}>
                Link your account
              </Button>
            )}
            {linked_at && has_password && (
              <Button variant="default" onClick={() => setAction("unlink")}>
                Unlink
              </Button>
            )}
          </Stack>
        )}
      </Loaded>
      {action === "link" && (
        <Dialog
          title={`Link your account at ${name}`}
          verb="Go on"
          send={() =>
            goToProvider(
              `${IDENTITY}/request`,
              current ? { current_password: current } : {},
              "/console/account",
            )
          }
          changes={[]}
          onClose={() => setAction(null)}
        >
          <CurrentPassword value={current} onChange={setCurrent} />
        </Dialog>
      )}
      {action === "unlink" && (
        <Dialog
          title={`Unlink your account at ${name}?`}
          verb="Unlink"
          danger
          send={() => ask("DELETE", IDENTITY)}
          changes={[IDENTITY_KEY]}
          onClose={() => setAction(null)}
        >
          <Text size="sm">From then on you sign in with your password.</Text>
        </Dialog>
      )}
    </>
  );
}

function CurrentPassword({
  value,
  onChange,
}: {
  value: string;
  onChange: (value: string) => void;
}) {
  return (
    <PasswordInput
      label="Current password"
      name="password"
      autoComplete="current-password"
      description="Not needed right after a sign-in by a link."
      visibilityToggleButtonProps={{ "aria-label": "Show or hide the password" }}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}

function Password() {
  const { user } = useSession();
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
          <CurrentPassword value={current} onChange={setCurrent} />
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
