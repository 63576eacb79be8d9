import { Button, Divider } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { ask } from "../api/client.ts";
import type { OidcRequest } from "../api/types.ts";
import { ErrorNotice } from "./notices.tsx";

const RETURN_TO = "antiphon.return_to";

/** Send this browser to the provider; afterwards a page of the Console is shown. */
export async function goToProvider(
  path: string,
  body: Record<string, string>,
  returnTo: string,
): Promise<void> {
  const { url } = await ask<OidcRequest>("POST", path, { body });
  sessionStorage.setItem(RETURN_TO, returnTo);
  window.location.assign(url);
}

/** Return the page that is kept from before, and forget it. */
export function takeReturnTo(): string | null {
  const kept = sessionStorage.getItem(RETURN_TO);
  sessionStorage.removeItem(RETURN_TO);
  return kept;
}

/** The button that leads to the provider, and a line to the other way to sign in. */
export function ProviderButton({
  label,
  returnTo,
  divided,
}: {
  label: string;
  returnTo: string;
  divided: boolean;
}) {
  const begin = useMutation({
    mutationFn: () => goToProvider("/v1/console/oidc", {}, returnTo),
  });
  return (
    <>
      <Button
        variant={divided ? "default" : "filled"}
        loading={begin.isPending || begin.isSuccess}
        onClick={() => begin.mutate()}
      >
        {label}
      </Button>
      {begin.error && <ErrorNotice error={begin.error} />}
      {divided && <Divider label="or" />}
    </>
  );
}
