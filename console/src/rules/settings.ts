// Settings of the server in words.

import type { Setting, SettingValue } from "../api/types.ts";
import { sizeOf } from "./cache.ts";
import { WHOLE } from "./numbers.ts";

/** Return a value for reading; what has none is "none". */
export function valueInWords(name: string, value: SettingValue): string {
  if (value === null) return "none";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.length ? value.join(", ") : "none";
  if (typeof value === "string") return value;
  if (name.endsWith("_bytes")) return sizeOf(value);
  if (name === "port") return String(value);
  return WHOLE.format(value) + unitOf(name);
}

function unitOf(name: string): string {
  if (name.endsWith("_s")) return " s";
  if (name.endsWith("_hours")) return " hours";
  if (name.endsWith("_days")) return " days";
  return "";
}

/** Return what a setting is now, without what is secret. */
export function settingInWords(setting: Setting): string {
  if (setting.is_secret) return setting.is_set ? "set, and not shown" : "none";
  return valueInWords(setting.name, setting.value);
}

/** Return what a setting would be if nothing set it; a dash where that is nothing. */
export function defaultInWords(setting: Setting): string {
  return setting.default === null ? "–" : valueInWords(setting.name, setting.default);
}

const SOURCES = {
  default: "Default",
  file: "File",
  environment: "Environment",
  flag: "Command line",
} as const;

/** Return where a setting is set: "Environment: ANTIPHON_PORT". */
export function sourceInWords({ source, place }: Setting): string {
  return place === null ? SOURCES[source] : `${SOURCES[source]}: ${place}`;
}

/** A line to copy, and where it belongs. */
export interface Change {
  where: string;
  line: string;
}

/** Return what has to be known before a setting is changed; null if every place counts. */
export function deciding({ source, place }: Setting): string | null {
  if (source === "flag") {
    return `Now the flag ${place} decides, whatever the file and the environment say: change it in the command that starts the server, or leave it out there.`;
  }
  if (source === "environment") {
    return `Now the variable ${place} decides, whatever the file says: change it where the server is started, or remove it.`;
  }
  return null;
}

/** Return the ways to change a setting, the one that is used now first. */
export function changesOf({ source, place, file_line, variable_line }: Setting): Change[] {
  const end = place?.lastIndexOf(": ") ?? -1;
  const file = source === "file" && place && end > 0 ? place.slice(0, end) : "antiphon.toml";
  const inFile = { where: `In ${file}`, line: file_line };
  if (variable_line === null) return [inFile];
  const variable = { where: "Or in the environment of the server", line: variable_line };
  return source === "environment"
    ? [
        { ...variable, where: "In the environment of the server" },
        { ...inFile, where: `Or, without the variable, in ${file}` },
      ]
    : [inFile, variable];
}

/** Return the settings with these words in their name or text; of them those that somebody set. */
export function found(settings: readonly Setting[], words: string, onlySet: boolean): Setting[] {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  return settings.filter((setting) => {
    const text = `${setting.name} ${setting.text}`.toLowerCase();
    return (
      (!onlySet || setting.source !== "default") && wanted.every((word) => text.includes(word))
    );
  });
}

/** Return for how long something is kept. */
export function daysInWords(days: number | null): string {
  if (days === null) return "For ever";
  if (days === 0) return "Not kept";
  return days === 1 ? "1 day" : `${WHOLE.format(days)} days`;
}
