import { useQuery, useQueryClient } from "@tanstack/react-query";
import { createContext, useContext } from "react";
import { ask, isSignedOut } from "./api/client.ts";
import type { ConsoleInfo, Session } from "./api/types.ts";

export const SESSION_KEY = ["session"] as const;
const INFO_EVERY_MS = 60_000;

const SessionContext = createContext<Session | null>(null);
export const SessionProvider = SessionContext.Provider;

/** Return the session of the signed-in user. */
export function useSession(): Session {
  const session = useContext(SessionContext);
  if (!session) throw new Error("this page needs a session");
  return session;
}

/** Return whether the user's role may do a thing, such as "keys.write". */
export function useCan(): (permission: string) => boolean {
  const { permissions } = useSession();
  return (permission) => permissions.includes(permission);
}

/** Return whether somebody is signed in whose role may do a thing; false before the sign-in. */
export function useMaySee(permission: string): boolean {
  return useContext(SessionContext)?.permissions.includes(permission) ?? false;
}

/** Ask for the session; `data` is null for a browser that is not signed in. */
export function useSessionQuery() {
  return useQuery({
    queryKey: SESSION_KEY,
    queryFn: async (): Promise<Session | null> => {
      try {
        return await ask<Session>("GET", "/v1/console/session");
      } catch (error) {
        if (isSignedOut(error)) return null;
        throw error;
      }
    },
    staleTime: 60_000,
    refetchInterval: 300_000,
    refetchOnWindowFocus: "always",
  });
}

/** Ask what this server is, again each minute: it may be upgraded under an open tab. */
export function useConsoleInfo() {
  return useQuery({
    queryKey: ["console"],
    queryFn: () => ask<ConsoleInfo>("GET", "/v1/console"),
    refetchInterval: INFO_EVERY_MS,
    refetchOnWindowFocus: "always",
  });
}

/** Return what takes a new session, or none: everything known from before is forgotten. */
export function useSwitchSession(): (session: Session | null) => void {
  const queries = useQueryClient();
  return (session) => {
    const kept: unknown[] = ["console", ...SESSION_KEY];
    queries.removeQueries({ predicate: ({ queryKey }) => !kept.includes(queryKey[0]) });
    queries.setQueryData(SESSION_KEY, session);
    if (session) void queries.invalidateQueries({ queryKey: ["console"] });
  };
}
