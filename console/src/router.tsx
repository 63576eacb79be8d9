import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
} from "@tanstack/react-router";
import { Frame, SignedIn } from "./Frame.tsx";
import { Crashed, NotFound } from "./pages/Lost.tsx";
import { keysSearch, usageSearch } from "./rules/searches.ts";

const root = createRootRoute({ component: Frame, notFoundComponent: NotFound });

const setup = createRoute({
  getParentRoute: () => root,
  path: "/setup",
  component: lazyRouteComponent(() => import("./pages/Setup.tsx"), "Setup"),
});
const invite = createRoute({
  getParentRoute: () => root,
  path: "/invite",
  component: lazyRouteComponent(() => import("./pages/AcceptInvite.tsx"), "AcceptInvite"),
});
const signedIn = createRoute({ getParentRoute: () => root, id: "signed-in", component: SignedIn });
const home = createRoute({
  getParentRoute: () => signedIn,
  path: "/",
  component: lazyRouteComponent(() => import("./pages/Home.tsx"), "Home"),
});
const keys = createRoute({
  getParentRoute: () => signedIn,
  path: "/keys",
  validateSearch: keysSearch,
  component: lazyRouteComponent(() => import("./pages/Keys.tsx"), "Keys"),
});
const playground = createRoute({
  getParentRoute: () => signedIn,
  path: "/playground",
  component: lazyRouteComponent(() => import("./pages/Playground.tsx"), "Playground"),
});
const usage = createRoute({
  getParentRoute: () => signedIn,
  path: "/usage",
  validateSearch: usageSearch,
  component: lazyRouteComponent(() => import("./pages/Usage.tsx"), "Usage"),
});
const account = createRoute({
  getParentRoute: () => signedIn,
  path: "/account",
  component: lazyRouteComponent(() => import("./pages/Account.tsx"), "Account"),
});

export const router = createRouter({
  routeTree: root.addChildren([
    setup,
    invite,
    signedIn.addChildren([home, keys, playground, usage, account]),
  ]),
  basepath: "/console",
  defaultPreload: "intent",
  defaultErrorComponent: Crashed,
  scrollRestoration: false,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
