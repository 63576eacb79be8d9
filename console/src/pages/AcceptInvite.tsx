import { Stack, Text } from "@mantine/core";
import { useConsoleInfo } from "../session.tsx";
import { Gate } from "../ui/Gate.tsx";
import { NewAccount } from "../ui/NewAccount.tsx";
import { useOneTimeToken } from "../ui/oneTime.ts";
import { ProviderButton } from "../ui/Provider.tsx";

const TITLE = "Join the organization";

/** Makes the account of an invited person. */
export function AcceptInvite() {
  const token = useOneTimeToken();
  const { data: info } = useConsoleInfo();
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
  if (token && !passwords) {
    return (
      <Gate title={TITLE}>
        <Text c="dimmed">You were invited. Sign in with the e-mail address of the invitation.</Text>
        {byProvider}
      </Gate>
    );
  }
  return (
    <NewAccount
      token={token}
      title={TITLE}
      verb="Join"
      path="/v1/console/invites/accept"
      to="/"
      before={byProvider}
      broken="Copy the whole link of your invitation, with everything after the #, or ask who invited you for a new one."
    >
      You were invited. Choose how you sign in from now on.
    </NewAccount>
  );
}
