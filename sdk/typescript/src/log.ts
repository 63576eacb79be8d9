// What the SDK tells of its calls. Never a key, a prompt or an answer.

export type LogLevel = "off" | "error" | "warn" | "info" | "debug";

/** What takes lines; `console` is one. */
export interface Logger {
  error(line: string): void;
  warn(line: string): void;
  info(line: string): void;
  debug(line: string): void;
}

const LEVELS: readonly string[] = ["off", "error", "warn", "info", "debug"];

/** Return a logger that passes on the lines up to a level. Throws `TypeError` for another word. */
export function levelled(level: string, target: Logger): Logger {
  const most = LEVELS.indexOf(level);
  if (most < 0) throw new TypeError(`the log level is "${level}"; it is ${LEVELS.join(", ")}`);
  const nothing = (): void => {};
  const from = (name: "error" | "warn" | "info" | "debug"): ((line: string) => void) =>
    LEVELS.indexOf(name) <= most ? (line) => target[name](line) : nothing;
  return { error: from("error"), warn: from("warn"), info: from("info"), debug: from("debug") };
}
