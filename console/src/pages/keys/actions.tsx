import { Menu, Select, Text, TextInput } from "@mantine/core";
import { type ReactNode, useRef, useState } from "react";
import { ask } from "../../api/client.ts";
import type { Key, KeyWithSecret } from "../../api/types.ts";
import { changesKey } from "../../rules/permissions.ts";
import { useCan, useSession } from "../../session.tsx";
import { Dialog } from "../../ui/Dialog.tsx";
import { RowMenu } from "../../ui/Shell.tsx";
import { Window } from "../../ui/Window.tsx";
import { OwnRates } from "../limits/OwnRates.tsx";

type Action = "rename" | "rotate" | "limits" | "disable" | "enable" | "archive";

const GRACES = [
  { value: "0", label: "At once" },
  { value: "3600", label: "In 1 hour" },
  { value: "86400", label: "In 1 day" },
  { value: "604800", label: "In 7 days" },
  { value: "2592000", label: "In 30 days" },
];

/** What the user can do with a key; nothing stands where that is nothing. */
export function KeyMenu({ of, onSecret }: { of: Key; onSecret: (key: KeyWithSecret) => void }) {
  const [action, setAction] = useState<Action | null>(null);
  const can = useCan();
  const changes = changesKey(useSession(), of);
  const close = () => setAction(null);
  const lives = of.status === "active" || of.status === "inactive";
  if (!changes && !can("limits.read")) return null;
  return (
    <>
      <RowMenu label={`Actions for ${of.name}`}>
        {changes && <Menu.Item onClick={() => setAction("rename")}>Rename</Menu.Item>}
        {changes && lives && <Menu.Item onClick={() => setAction("rotate")}>Rotate</Menu.Item>}
        {can("limits.read") && (
          <Menu.Item onClick={() => setAction("limits")}>Rate limits</Menu.Item>
        )}
        {changes && of.status === "active" && (
          <Menu.Item onClick={() => setAction("disable")}>Disable</Menu.Item>
        )}
        {changes && of.status === "inactive" && (
          <Menu.Item onClick={() => setAction("enable")}>Enable</Menu.Item>
        )}
        {changes && <Menu.Divider />}
        {changes && (
          <Menu.Item className="danger" onClick={() => setAction("archive")}>
            Archive
          </Menu.Item>
        )}
      </RowMenu>
      {action === "rename" && <Rename of={of} onClose={close} />}
      {action === "rotate" && <Rotate of={of} onClose={close} onSecret={onSecret} />}
      {action === "limits" && (
        <Window title={`Rate limits of “${of.name}”`} size="xl" onClose={close}>
          <Text size="sm" mb="sm">
            A limit of the key holds beside the organization’s, and cannot be above it.
          </Text>
          <OwnRates scope={{ type: "api_key", api_key_id: of.id }} />
        </Window>
      )}
      {action === "disable" && (
        <ChangeStatus of={of} status="inactive" verb="Disable" onClose={close}>
          Requests with this key fail from now on, until you enable it again.
        </ChangeStatus>
      )}
      {action === "enable" && (
        <ChangeStatus of={of} status="active" verb="Enable" onClose={close}>
          Requests with this key are served again.
        </ChangeStatus>
      )}
      {action === "archive" && (
        <ChangeStatus of={of} status="archived" verb="Archive" danger onClose={close}>
          Requests with this key fail for ever: an archived key never comes back. Its usage stays in
          the reports.
        </ChangeStatus>
      )}
    </>
  );
}

const CHANGES = [["keys"]] as const;

function Rename({ of, onClose }: { of: Key; onClose: () => void }) {
  const [name, setName] = useState(of.name);
  const send = () =>
    ask("POST", `/v1/organizations/api_keys/${of.id}`, { body: { name: name.trim() } });
  return (
    <Dialog
      changes={CHANGES}
      title={`Rename “${of.name}”`}
      verb="Rename"
      send={send}
      onClose={onClose}
    >
      <TextInput
        label="Name"
        required
        maxLength={100}
        data-autofocus
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
    </Dialog>
  );
}

function ChangeStatus({
  of,
  status,
  verb,
  danger = false,
  onClose,
  children,
}: {
  of: Key;
  status: "active" | "inactive" | "archived";
  verb: string;
  danger?: boolean;
  onClose: () => void;
  children: ReactNode;
}) {
  const send = () => ask("POST", `/v1/organizations/api_keys/${of.id}`, { body: { status } });
  const title = `${verb} “${of.name}”?`;
  return (
    <Dialog
      changes={CHANGES}
      title={title}
      verb={verb}
      danger={danger}
      send={send}
      onClose={onClose}
    >
      <Text size="sm">{children}</Text>
    </Dialog>
  );
}

function Rotate({
  of,
  onClose,
  onSecret,
}: {
  of: Key;
  onClose: () => void;
  onSecret: (key: KeyWithSecret) => void;
}) {
  const [grace, setGrace] = useState("86400");
  const once = useRef(crypto.randomUUID());
  const send = async () => {
    const body = { grace_period_seconds: Number(grace) };
    const path = `/v1/organizations/api_keys/${of.id}/rotate`;
    onSecret(
      await ask<KeyWithSecret>("POST", path, {
        body,
        idempotencyKey: `${once.current}-${grace}`,
      }),
    );
  };
  return (
    <Dialog
      changes={CHANGES}
      title={`Rotate “${of.name}”`}
      verb="Rotate"
      send={send}
      onClose={onClose}
    >
      <Text size="sm">
        The key gets a new secret, and keeps its name, its limits and its history. The present
        secret stays valid for a while, so that you can change programs one after the other.
      </Text>
      <Select
        label="The present secret ends"
        allowDeselect={false}
        data={GRACES}
        value={grace}
        onChange={(chosen) => setGrace(chosen ?? "86400")}
      />
    </Dialog>
  );
}
