import { Button, Stack, Switch, Text, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useState } from "react";
import { ask } from "../api/client.ts";
import type { ModelSettings, ServerSettings, Setting } from "../api/types.ts";
import { sizeOf } from "../rules/cache.ts";
import { settingsSearch } from "../rules/searches.ts";
import {
  changesOf,
  daysInWords,
  deciding,
  defaultInWords,
  found,
  settingInWords,
  sourceInWords,
  valueInWords,
} from "../rules/settings.ts";
import { Empty, Loaded } from "../ui/notices.tsx";
import { Figures, Head, Lines, Time } from "../ui/parts.tsx";
import { Table } from "../ui/Table.tsx";
import { Window } from "../ui/Window.tsx";

const route = getRouteApi("/signed-in/settings");
const DATABASES = { sqlite: "SQLite", postgresql: "PostgreSQL" } as const;

/** What this server runs with. It says how each setting is changed, and changes none. */
export function Settings() {
  const settings = useQuery({
    queryKey: ["settings"],
    queryFn: ({ signal }) => ask<ServerSettings>("GET", "/v1/organizations/settings", { signal }),
    refetchInterval: 60_000,
  });
  return (
    <>
      <Head title="Settings">
        What this server runs with. Settings are read once, when it starts. <i>Change</i> has the
        line for each; limits, keys and people are no settings, and change while it runs.
      </Head>
      <Loaded query={settings} what="the settings">
        {(server) => (
          <>
            <Server server={server} />
            <Backup {...server.backup} />
            <h2 className="section">What is kept</h2>
            <Table
              caption="What is kept"
              rows={server.retention}
              keyOf={({ name }) => name}
              columns={[
                { title: "What", lines: true, cell: ({ name }) => name },
                { title: "How long", cell: ({ days }) => daysInWords(days) },
              ]}
            />
            <All settings={server.settings} />
            <h2 className="section">Models</h2>
            <Table
              caption="Models"
              rows={server.models}
              keyOf={({ id }) => id}
              columns={[
                { title: "Model", cell: ({ id }) => <span className="mono">{id}</span> },
                { title: "Also called", cell: ({ aliases }) => aliases.join(", ") || "–" },
                { title: "Rate limits of", cell: ({ limit_group: group }) => group },
                { title: "Price", cell: ({ has_price }) => (has_price ? "Its own" : "The list's") },
                { title: "Engines", wide: true, cell: (model) => <Engines model={model} /> },
              ]}
            />
          </>
        )}
      </Loaded>
    </>
  );
}

function Server({ server }: { server: ServerSettings }) {
  const { database, data_folder: folder, counters } = server;
  const room =
    folder.free_bytes === null
      ? "Unknown"
      : `${sizeOf(folder.free_bytes)} of ${sizeOf(folder.total_bytes ?? 0)}`;
  return (
    <>
      <Figures
        items={[
          ["Antiphon", server.version],
          ["Database", sizeOf(database.size_bytes)],
          ["Free on its disk", room],
        ]}
      />
      <dl className="facts">
        <dt>Runs on</dt>
        <dd>
          Python {server.python}, {server.system}
        </dd>
        <dt>Data folder</dt>
        <dd className="mono">{folder.path}</dd>
        <dt>Database</dt>
        <dd>
          {DATABASES[database.kind]} {database.version}:{" "}
          <span className="mono">{database.name}</span>
        </dd>
        <dt>Counters of limits</dt>
        <dd>
          {counters.backend === "memory" ? (
            "In the memory of this server; it serves alone"
          ) : (
            <>
              Valkey at <span className="mono">{counters.name}</span>, shared by all servers
            </>
          )}
        </dd>
      </dl>
    </>
  );
}

function Backup({ command, last_at, last_size_bytes }: ServerSettings["backup"]) {
  const ours = command.startsWith("antiphon ");
  return (
    <>
      <h2 className="section">Backup</h2>
      {last_at ? (
        <Text size="sm" mb="sm">
          The last one was made <Time at={last_at} relative /> and has{" "}
          {sizeOf(last_size_bytes ?? 0)}.
        </Text>
      ) : (
        <Text size="sm" mb="sm">
          {ours
            ? "No backup was made yet with antiphon backup. It works while the server runs:"
            : "PostgreSQL has tools of its own, which leave no note here:"}
        </Text>
      )}
      <Lines text={command} label="the command" />
    </>
  );
}

function All({ settings }: { settings: readonly Setting[] }) {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const show = (change: object) =>
    void navigate({ search: settingsSearch({ ...search, ...change }), replace: true });
  // The address follows a moment later, too late for whoever types fast.
  const [words, setWords] = useState(search.words ?? "");
  const rows = found(settings, words, search.set === true);
  return (
    <>
      <h2 className="section">All settings</h2>
      <div className="filters">
        <TextInput
          label="Find"
          placeholder="Such as body"
          value={words}
          onChange={(event) => {
            setWords(event.currentTarget.value);
            show({ words: event.currentTarget.value || undefined });
          }}
        />
        <Switch
          label="Only those that were set"
          checked={search.set === true}
          onChange={(event) => show({ set: event.currentTarget.checked || undefined })}
          mb={8}
          w="auto"
        />
      </div>
      {rows.length ? (
        <Table
          caption="All settings"
          rows={rows}
          keyOf={({ name }) => name}
          columns={[
            {
              title: "Setting",
              wide: true,
              cell: ({ name, text }) => (
                <>
                  <span className="mono">{name}</span>
                  <Text size="sm" c="dimmed">
                    {text}
                  </Text>
                </>
              ),
            },
            { title: "Value", lines: true, cell: settingInWords },
            {
              title: "Default",
              lines: true,
              cell: (setting) => (setting.source === "default" ? "" : defaultInWords(setting)),
            },
            { title: "Set by", lines: true, cell: sourceInWords },
            { title: "Actions", stays: true, cell: (setting) => <Change of={setting} /> },
          ]}
        />
      ) : (
        <Empty title="No setting">
          {search.set
            ? "Nothing was set: the server runs with its defaults."
            : "No setting has these words."}
        </Empty>
      )}
    </>
  );
}

/** How a setting is changed: the lines to copy, and what makes them count. */
function Change({ of: setting }: { of: Setting }) {
  const [open, setOpen] = useState(false);
  const first = deciding(setting);
  return (
    <>
      <Button
        size="compact-sm"
        variant="default"
        onClick={() => setOpen(true)}
        aria-label={`Change ${setting.name}`}
      >
        Change
      </Button>
      {open && (
        <Window title={`Change ${setting.name}`} onClose={() => setOpen(false)}>
          <Stack>
            <Text size="sm">
              {setting.text} Now it is <b>{settingInWords(setting)}</b>.
            </Text>
            {first && <Text size="sm">{first}</Text>}
            {changesOf(setting).map(({ where, line }) => (
              <div key={where}>
                <Text size="sm" mb={4}>
                  {where}
                </Text>
                <Lines
                  text={line}
                  label={where.includes("environment") ? "the variable" : "the line"}
                />
              </div>
            ))}
            <Text size="sm">
              Then start the server again: it reads its settings when it starts. A wrong value is an
              error then, which names the line.
            </Text>
          </Stack>
        </Window>
      )}
    </>
  );
}

function Engines({ model }: { model: ModelSettings }) {
  return (
    <ul className="plain">
      {model.engines.map((each, index) => {
        const options = each.options.map(({ name, value }) =>
          value === null ? `${name} is set` : `${name} = ${valueInWords(name, value)}`,
        );
        const source = each.source ? [each.source] : [];
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: engines have no names, and stay in order
          <li key={index}>
            {[each.engine, ...source, ...options].join(", ")}
            {model.engines.length > 1 && `, weight ${each.weight}`}
          </li>
        );
      })}
    </ul>
  );
}
