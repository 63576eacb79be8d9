import { useState } from "react";
import { tokenOf } from "../rules/fragments.ts";

/** Return the token of the link that led here, and take it out of the address and the history. */
export function useOneTimeToken(): string | null {
  const [token] = useState(() => {
    const found = tokenOf(window.location.hash);
    if (found) {
      const { pathname, search } = window.location;
      window.history.replaceState(window.history.state, "", pathname + search);
    }
    return found;
  });
  return token;
}
