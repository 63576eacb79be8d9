import { Kbd } from "@mantine/core";
import { useRouter } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { entriesFor } from "../rules/permissions.ts";
import { deedOf, letterOf, PATIENCE_MS } from "../rules/shortcuts.ts";
import { useSession } from "../session.tsx";
import { Window } from "./Window.tsx";

/** Whether a key goes into a field, or to a window or a menu that is open. */
function isTaken(target: EventTarget | null): boolean {
  const element = target instanceof Element ? target : null;
  const field = element?.closest("input, textarea, select, [contenteditable], [role=menu]");
  return Boolean(field) || document.querySelector("[role=dialog]") !== null;
}

/** The keys of the whole Console, and the list of them. */
export function Shortcuts({
  opened,
  onChange,
}: {
  opened: boolean;
  onChange: (open: boolean) => void;
}) {
  const router = useRouter();
  const { permissions } = useSession();
  const entries = entriesFor(permissions).filter(({ path }) => letterOf(path));
  const paths = entries.map(({ path }) => path);
  const [since, setSince] = useState(0);
  const latest = useRef({ since, paths });
  latest.current = { since, paths };
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const pressed = {
        key: event.key,
        held: event.ctrlKey || event.metaKey || event.altKey,
        typing: isTaken(event.target),
      };
      const waits = event.timeStamp - latest.current.since < PATIENCE_MS;
      const deed = deedOf(pressed, waits && latest.current.since > 0, latest.current.paths);
      setSince(deed === "wait" ? event.timeStamp : 0);
      if (deed === null || deed === "wait") return;
      event.preventDefault();
      if (deed === "help") onChange(true);
      else if (deed === "filter") document.querySelector<HTMLElement>("[data-filter]")?.focus();
      else void router.navigate({ to: deed.to });
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [router, onChange]);
  if (!opened) return null;
  return (
    <Window onClose={() => onChange(false)} title="Keys">
      <table className="shortcuts">
        <tbody>
          {entries.map(({ path, label }) => (
            <tr key={path}>
              <td>{label}</td>
              <td>
                <Kbd>g</Kbd> then <Kbd>{letterOf(path)}</Kbd>
              </td>
            </tr>
          ))}
          <tr>
            <td>To the filter of a list</td>
            <td>
              <Kbd>/</Kbd>
            </td>
          </tr>
          <tr>
            <td>This list</td>
            <td>
              <Kbd>?</Kbd>
            </td>
          </tr>
        </tbody>
      </table>
    </Window>
  );
}
