import "@mantine/core/styles.css";
// Here and not beside the plot: a style sheet of a part could be missing after an upgrade.
import "uplot/dist/uPlot.min.css";
import "./app.css";

import { createTheme, MantineProvider } from "@mantine/core";
import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { ApiError, isSignedOut } from "./api/client.ts";
import { router } from "./router.tsx";
import { SESSION_KEY } from "./session.tsx";

const MOST_TRIES = 2;

const theme = createTheme({
  primaryColor: "indigo",
  primaryShade: { light: 7, dark: 8 },
  cursorType: "pointer",
  respectReducedMotion: true,
  components: {
    // Both would add a style element or lock the page by one; app.css does it.
    Modal: { defaultProps: { lockScroll: false, centered: true } },
    // A menu has items and nothing else that takes the focus.
    Menu: { defaultProps: { withInitialFocusPlaceholder: false } },
    Drawer: { defaultProps: { lockScroll: false } },
  },
});

/** Try again what may pass; what the API refuses would be refused again. */
function worthAnotherTry(tries: number, error: Error): boolean {
  const mayPass = error instanceof ApiError && (error.status === 0 || error.status >= 500);
  return mayPass && tries < MOST_TRIES;
}

/** Ask for the session anew when a request was refused for want of one: then the sign-in appears. */
function onError(error: Error): void {
  if (isSignedOut(error)) void queries.invalidateQueries({ queryKey: SESSION_KEY });
}

const queries = new QueryClient({
  queryCache: new QueryCache({ onError }),
  mutationCache: new MutationCache({ onError }),
  defaultOptions: { queries: { retry: worthAnotherTry, staleTime: 10_000 } },
});
const root = document.getElementById("root");
if (!root) throw new Error("the page has no root");
createRoot(root).render(
  <StrictMode>
    <MantineProvider
      theme={theme}
      defaultColorScheme="auto"
      withCssVariables={false}
      withGlobalClasses={false}
    >
      <QueryClientProvider client={queries}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
);
