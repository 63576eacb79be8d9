import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
} from "@tanstack/react-router";
import { Frame, SignedIn } from "./Frame.tsx";
import { Crashed, NotFound } from "./pages/Lost.tsx";
import {
  auditSearch,
  batchesSearch,
  cacheSearch,
  costSearch,
  filesSearch,
  keysSearch,
  known,
  limitsSearch,
  membersSearch,
  overviewSearch,
  requestsSearch,
  settingsSearch,
  usageSearch,
  workspaceSearch,
  workspacesSearch,
} from "./rules/searches.ts";

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
const byLink = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  component: lazyRouteComponent(() => import("./pages/SignInByLink.tsx"), "SignInByLink"),
});
const oidc = createRoute({
  getParentRoute: () => root,
  path: "/oidc",
  component: lazyRouteComponent(() => import("./pages/OidcReturn.tsx"), "OidcReturn"),
});
const signedOut = createRoute({
  getParentRoute: () => root,
  path: "/signed-out",
  component: lazyRouteComponent(() => import("./pages/SignedOut.tsx"), "SignedOut"),
});
const signedIn = createRoute({ getParentRoute: () => root, id: "signed-in", component: SignedIn });
const home = createRoute({
  getParentRoute: () => signedIn,
  path: "/",
  component: lazyRouteComponent(() => import("./pages/Home.tsx"), "Home"),
});
const overview = createRoute({
  getParentRoute: () => signedIn,
  path: "/overview",
  validateSearch: known(overviewSearch),
  component: lazyRouteComponent(() => import("./pages/Overview.tsx"), "Overview"),
});
const requests = createRoute({
  getParentRoute: () => signedIn,
  path: "/requests",
  validateSearch: known(requestsSearch),
  component: lazyRouteComponent(() => import("./pages/Requests.tsx"), "Requests"),
});
const request = createRoute({
  getParentRoute: () => signedIn,
  path: "/requests/$request",
  component: lazyRouteComponent(() => import("./pages/Explain.tsx"), "Explain"),
});
const keys = createRoute({
  getParentRoute: () => signedIn,
  path: "/keys",
  validateSearch: known(keysSearch),
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
  validateSearch: known(usageSearch),
  component: lazyRouteComponent(() => import("./pages/Usage.tsx"), "Usage"),
});
const connect = createRoute({
  getParentRoute: () => signedIn,
  path: "/connect",
  component: lazyRouteComponent(() => import("./pages/Connect.tsx"), "Connect"),
});
const batches = createRoute({
  getParentRoute: () => signedIn,
  path: "/batches",
  validateSearch: known(batchesSearch),
  component: lazyRouteComponent(() => import("./pages/Batches.tsx"), "Batches"),
});
const files = createRoute({
  getParentRoute: () => signedIn,
  path: "/files",
  validateSearch: known(filesSearch),
  component: lazyRouteComponent(() => import("./pages/Files.tsx"), "Files"),
});
const models = createRoute({
  getParentRoute: () => signedIn,
  path: "/models",
  component: lazyRouteComponent(() => import("./pages/Models.tsx"), "Models"),
});
const cost = createRoute({
  getParentRoute: () => signedIn,
  path: "/cost",
  validateSearch: known(costSearch),
  component: lazyRouteComponent(() => import("./pages/Cost.tsx"), "Cost"),
});
const limits = createRoute({
  getParentRoute: () => signedIn,
  path: "/limits",
  validateSearch: known(limitsSearch),
  component: lazyRouteComponent(() => import("./pages/Limits.tsx"), "Limits"),
});
const cache = createRoute({
  getParentRoute: () => signedIn,
  path: "/cache",
  validateSearch: known(cacheSearch),
  component: lazyRouteComponent(() => import("./pages/PromptCache.tsx"), "PromptCache"),
});
const workspaces = createRoute({
  getParentRoute: () => signedIn,
  path: "/workspaces",
  validateSearch: known(workspacesSearch),
  component: lazyRouteComponent(() => import("./pages/Workspaces.tsx"), "Workspaces"),
});
const workspace = createRoute({
  getParentRoute: () => signedIn,
  path: "/workspaces/$workspace",
  validateSearch: known(workspaceSearch),
  component: lazyRouteComponent(() => import("./pages/Workspace.tsx"), "Workspace"),
});
const members = createRoute({
  getParentRoute: () => signedIn,
  path: "/members",
  validateSearch: known(membersSearch),
  component: lazyRouteComponent(() => import("./pages/Members.tsx"), "Members"),
});
const audit = createRoute({
  getParentRoute: () => signedIn,
  path: "/audit",
  validateSearch: known(auditSearch),
  component: lazyRouteComponent(() => import("./pages/Audit.tsx"), "Audit"),
});
const settings = createRoute({
  getParentRoute: () => signedIn,
  path: "/settings",
  validateSearch: known(settingsSearch),
  component: lazyRouteComponent(() => import("./pages/Settings.tsx"), "Settings"),
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
    byLink,
    oidc,
    signedOut,
    signedIn.addChildren([
      home,
      overview,
      requests,
      request,
      keys,
      playground,
      usage,
      connect,
      batches,
      files,
      models,
      cost,
      limits,
      cache,
      workspaces,
      workspace,
      members,
      audit,
      settings,
      account,
    ]),
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
