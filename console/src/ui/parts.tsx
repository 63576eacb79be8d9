import { ActionIcon, Button, CopyButton, Group, Tooltip } from "@mantine/core";
import { type ReactNode, useEffect } from "react";
import { localTime, relativeTime, utcTime } from "../rules/times.ts";

/** The head of a page, which also names the tab. */
export function Head({
  title,
  children,
  actions,
}: {
  title: string;
  children?: ReactNode;
  actions?: ReactNode;
}) {
  useEffect(() => {
    document.title = `${title} · Antiphon Console`;
  }, [title]);
  return (
    <header className="head">
      <div>
        <h1>{title}</h1>
        {children && <p>{children}</p>}
      </div>
      {actions && <Group gap="sm">{actions}</Group>}
    </header>
  );
}

/** A time in the browser's zone, or how long ago it was; UTC is a hover or a focus away. */
export function Time({ at, relative = false }: { at: string; relative?: boolean }) {
  const local = localTime(at);
  const label = relative ? `${local} · ${utcTime(at)}` : utcTime(at);
  return (
    <Tooltip label={label} events={{ hover: true, focus: true, touch: true }}>
      <time dateTime={at}>{relative ? relativeTime(at, Date.now()) : local}</time>
    </Tooltip>
  );
}

/** A button that puts text on the clipboard, and says that it did. */
export function Copy({ text, label = "Copy" }: { text: string; label?: string }) {
  return (
    <CopyButton value={text} timeout={2000}>
      {({ copied, copy }) => (
        <Button size="xs" variant="default" onClick={copy} aria-live="polite">
          {copied ? "Copied" : label}
        </Button>
      )}
    </CopyButton>
  );
}

/** An id, whole, with what copies it. */
export function Id({ id }: { id: string }) {
  return (
    <span className="id">
      <span className="mono">{id}</span>
      <CopyButton value={id} timeout={2000}>
        {({ copied, copy }) => (
          <ActionIcon
            size={24}
            variant="subtle"
            color="gray"
            onClick={copy}
            aria-label={copied ? `Copied ${id}` : `Copy ${id}`}
          >
            <svg viewBox="0 0 16 16" width="13" height="13" fill="none" aria-hidden="true">
              {copied ? (
                <path d="M3 8.5l3.2 3L13 5" stroke="currentColor" strokeWidth="1.6" />
              ) : (
                <path d="M5.5 5.5h7v8h-7zM3.5 10.5v-8h7" stroke="currentColor" strokeWidth="1.3" />
              )}
            </svg>
          </ActionIcon>
        )}
      </CopyButton>
    </span>
  );
}

/** Lines to copy. */
export function Lines({
  text,
  label,
  wrapped = false,
}: {
  text: string;
  label: string;
  wrapped?: boolean;
}) {
  return (
    <div>
      <section className={wrapped ? "code wrapped" : "code"} tabIndex={0} aria-label={label}>
        {text}
      </section>
      <Group justify="flex-end" mt={6}>
        <Copy text={text} label={`Copy ${label}`} />
      </Group>
    </div>
  );
}

/** Three numbers that answer most questions about a page; minor ones stand below them. */
export function Figures({
  items,
  minor = false,
}: {
  items: readonly (readonly [string, ReactNode])[];
  minor?: boolean;
}) {
  return (
    <dl className={minor ? "figures minor" : "figures"}>
      {items.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Save text or bytes as a file of the browser. */
export function save(name: string, type: string, content: string | Blob): void {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = Object.assign(document.createElement("a"), { href: url, download: name });
  link.click();
  URL.revokeObjectURL(url);
}
