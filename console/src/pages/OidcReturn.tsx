import { Alert, Anchor, Stack, Text } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useNavigate, useRouter } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { ApiError, ask } from "../api/client.ts";
import type { Identity, Session } from "../api/types.ts";
import { answerIn, pageToReturnTo } from "../rules/oidc.ts";
import { useSwitchSession } from "../session.tsx";
import { Gate } from "../ui/Gate.tsx";
import { ErrorNotice, Loading } from "../ui/notices.tsx";
import { takeReturnTo } from "../ui/Provider.tsx";

/** Where a provider sends the browser back to: it brings the answer to the server, and goes on. */
export function OidcReturn() {
  const [answer] = useState(() => {
    const found = answerIn(window.location.search);
    // The code leaves the address and the history before anything else happens.
    window.history.replaceState(window.history.state, "", window.location.pathname);
    return found;
  });
  const [returnTo] = useState(() => pageToReturnTo(takeReturnTo()));
  const switchSession = useSwitchSession();
  const navigate = useNavigate();
  const { history } = useRouter();
  const sent = useRef(false);
  const finish = useMutation({
    mutationFn: async () => {
      if ("fault" in answer) return;
      const { purpose, ...body } = answer;
      if (purpose === "link") {
        await ask<Identity>("POST", "/v1/console/identity", { body });
        void navigate({ to: "/account", replace: true });
      } else {
        switchSession(await ask<Session>("POST", "/v1/console/oidc/session", { body }));
        history.replace(returnTo);
      }
    },
  });
  useEffect(() => {
    if (sent.current || "fault" in answer) return;
    sent.current = true;
    finish.mutate();
  }, [answer, finish.mutate]);
  if (!finish.error && !("fault" in answer)) {
    return (
      <div className="gate">
        <main>
          <Loading what="your session" />
        </main>
      </div>
    );
  }
  return (
    <Gate title="Signing in did not work">
      <Stack mt="lg">
        {"fault" in answer ? (
          <Alert color="yellow" variant="light" role="alert">
            {answer.fault}
          </Alert>
        ) : (
          finish.error && <Refused error={finish.error} />
        )}
        <Anchor href="/console/">Begin again</Anchor>
      </Stack>
    </Gate>
  );
}

/** Who is refused has no role yet, so the usual advice about roles would be wrong. */
function Refused({ error }: { error: Error }) {
  if (!(error instanceof ApiError) || error.status !== 403) return <ErrorNotice error={error} />;
  return (
    <Alert color="yellow" variant="light" role="alert">
      <Text size="sm">{error.message}</Text>
    </Alert>
  );
}
