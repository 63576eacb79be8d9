// What an OpenID provider has sent back by the address of a page, and where to go afterwards.

/** The provider's answer: a code, or the name of what went wrong there. */
export type ProviderAnswer =
  | { code: string; state: string; iss?: string; purpose: "sign_in" | "link" }
  | { fault: string };

// Everybody can put any words into an address, so the page shows none of them but these.
const FAULTS = new Map([
  ["access_denied", "The sign-in was ended there, or your account may not use this server."],
  ["login_required", "You have to sign in there first."],
  ["temporarily_unavailable", "The provider is not available at the moment."],
  ["server_error", "The provider had an error."],
]);
const OTHER_FAULT =
  "The provider refused it. Whoever runs this server can see why in its log there.";
const NOTHING = "This page is only for the way back from a provider.";

/** Stands behind the # of the page after a sign-out whose provider could not be reached. */
export const UNREACHED = "unreached";

/** Read the provider's answer from the query of an address. */
export function answerIn(search: string): ProviderAnswer {
  const query = new URLSearchParams(search);
  const [code, state, iss] = [query.get("code"), query.get("state"), query.get("iss")];
  if (code && state) {
    const purpose = state.startsWith("link.") ? "link" : "sign_in";
    return { code, state, purpose, ...(iss === null ? {} : { iss }) };
  }
  const error = query.get("error");
  return { fault: error === null ? NOTHING : (FAULTS.get(error) ?? OTHER_FAULT) };
}

/** Return a kept address if it is one of the Console's own pages, and else its first page. */
export function pageToReturnTo(kept: string | null): string {
  const home = "/console/";
  if (!kept?.startsWith(home)) return home;
  try {
    const origin = "https://console.invalid";
    const found = new URL(kept, origin);
    const own = found.origin === origin && found.pathname.startsWith(home);
    return own && !found.pathname.startsWith("/console/oidc")
      ? found.pathname + found.search
      : home;
  } catch {
    return home;
  }
}
