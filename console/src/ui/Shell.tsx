import {
  ActionIcon,
  Burger,
  Button,
  Drawer,
  Kbd,
  Menu,
  useMantineColorScheme,
} from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useMutation } from "@tanstack/react-query";
import { Link, Outlet, useLocation, useNavigate } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { ask } from "../api/client.ts";
import { useOpenIncreases } from "../api/queries.ts";
import type { OidcSignedOut } from "../api/types.ts";
import { UNREACHED } from "../rules/oidc.ts";
import { entriesFor } from "../rules/permissions.ts";
import { useSession, useSwitchSession } from "../session.tsx";
import { Shortcuts } from "./Shortcuts.tsx";

const GROUPS = ["Start", "Build", "Watch", "Organization"] as const;

export function Brand() {
  return (
    <Link to="/" className="brand">
      <img src="/console/mark.svg" alt="" />
      Antiphon
    </Link>
  );
}

/** Everything around a page: navigation by what the role may see, the account, the skip link. */
export function Shell() {
  const [opened, { toggle, close }] = useDisclosure(false);
  const [keysShown, setKeysShown] = useState(false);
  const main = useRef<HTMLElement>(null);
  const { pathname } = useLocation();
  const before = useRef(pathname);
  useEffect(() => {
    if (before.current === pathname) return;
    before.current = pathname;
    // A reader of screens goes on with the new page, not with the link that led to it.
    main.current?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
    close();
  }, [pathname, close]);
  return (
    <>
      <a href="#main" className="skip">
        Skip to the page
      </a>
      <div className="shell">
        <nav className="topbar" aria-label="Start">
          <Brand />
          <Burger
            opened={opened}
            onClick={toggle}
            size="sm"
            aria-label={opened ? "Close the menu" : "Open the menu"}
          />
        </nav>
        <div className="side">
          <Navigation brand />
          <Account onKeys={() => setKeysShown(true)} />
        </div>
        <main id="main" ref={main} tabIndex={-1} className="main">
          <Outlet />
        </main>
      </div>
      <Drawer
        opened={opened}
        onClose={close}
        size="280px"
        title="Menu"
        closeButtonProps={{ "aria-label": "Close the menu" }}
      >
        <Navigation />
        <Account
          onKeys={() => {
            close();
            setKeysShown(true);
          }}
        />
      </Drawer>
      <Shortcuts opened={keysShown} onChange={setKeysShown} />
    </>
  );
}

function Navigation({ brand = false }: { brand?: boolean }) {
  const entries = entriesFor(useSession().permissions);
  return (
    <nav className="nav" aria-label="Pages">
      {brand && <Brand />}
      {GROUPS.map((group) => {
        const here = entries.filter((entry) => entry.group === group);
        if (!here.length) return null;
        return (
          <div key={group}>
            {group !== "Start" && <h2>{group}</h2>}
            <ul>
              {here.map((entry) => (
                <li key={entry.path}>
                  <Link to={entry.path}>
                    {entry.label}
                    {entry.path === "/limits" && <Waiting />}
                  </Link>
                </li>
              ))}
            </ul>
          </div>
        );
      })}
    </nav>
  );
}

/** How many increase requests wait for a decision of the user's. */
function Waiting() {
  const { data } = useOpenIncreases();
  const count = data?.data.length ?? 0;
  if (!count) return null;
  const shown = data?.next_page ? `${count}+` : `${count}`;
  return (
    <>
      {" "}
      <span className="count" title="Waiting for a decision">
        {shown}
        <span className="unseen"> waiting for a decision</span>
      </span>
    </>
  );
}

function Account({ onKeys }: { onKeys: () => void }) {
  const { user, organization, sign_out_of: provider } = useSession();
  const navigate = useNavigate();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const switchSession = useSwitchSession();
  const signOut = useMutation({
    mutationFn: (everywhere: boolean) =>
      everywhere
        ? ask("POST", "/v1/console/sign_out_everywhere", { body: {} })
        : ask("DELETE", "/v1/console/session"),
    onSuccess: () => switchSession(null),
  });
  const signOutThere = useMutation({
    mutationFn: () => ask<OidcSignedOut>("POST", "/v1/console/oidc/sign_out", { body: {} }),
    onSuccess: async ({ url }) => {
      // The session has ended: the page that follows asks for none.
      if (url === null) await navigate({ to: "/signed-out", hash: UNREACHED });
      else window.location.assign(url);
      switchSession(null);
    },
  });
  return (
    <Menu position="top-start" width={224} withinPortal>
      <Menu.Target>
        <Button variant="subtle" color="gray" fullWidth justify="flex-start" px="sm" h={48}>
          <span className="account">
            <span>{user.name}</span>
            <span>{organization.name}</span>
          </span>
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{user.email}</Menu.Label>
        <Menu.Item component={Link} to="/account">
          Account and password
        </Menu.Item>
        <Menu.Item onClick={onKeys} rightSection={<Kbd>?</Kbd>}>
          Keyboard
        </Menu.Item>
        <Menu.Divider />
        <Menu.Label>Colours</Menu.Label>
        {(["auto", "light", "dark"] as const).map((scheme) => (
          <Menu.Item
            key={scheme}
            onClick={() => setColorScheme(scheme)}
            rightSection={colorScheme === scheme ? "✓" : null}
          >
            {{ auto: "As the system", light: "Light", dark: "Dark" }[scheme]}
          </Menu.Item>
        ))}
        <Menu.Divider />
        <Menu.Item onClick={() => signOut.mutate(false)}>Sign out</Menu.Item>
        {provider !== null && (
          <Menu.Item onClick={() => signOutThere.mutate()}>Sign out of {provider} too</Menu.Item>
        )}
        <Menu.Item onClick={() => signOut.mutate(true)}>Sign out everywhere</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

/** Three dots that open what can be done with a row. */
export function RowMenu({ label, children }: { label: string; children: React.ReactNode }) {
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" aria-label={label}>
          <svg viewBox="0 0 16 16" width="16" height="16" fill="currentColor" aria-hidden="true">
            <circle cx="3" cy="8" r="1.4" />
            <circle cx="8" cy="8" r="1.4" />
            <circle cx="13" cy="8" r="1.4" />
          </svg>
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>{children}</Menu.Dropdown>
    </Menu>
  );
}
