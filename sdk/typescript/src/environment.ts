// The variables that a client reads, and the only reader of them in the SDK.
//
// `ANTIPHON_*` come before `ANTHROPIC_*`, and what the program itself says comes before both.
// What `ANTHROPIC_*` says of the caller goes only to an address that somebody named: a key of the
// hosted API is not for whatever listens on this machine.

/** Where `antiphon serve` listens. A client speaks to no other address unless it is told one. */
export const LOCAL = "http://127.0.0.1:8000";

export interface Environment {
  baseURL: string | undefined;
  apiKey: string | undefined;
  authToken: string | undefined;
  adminKey: string | undefined;
  headers: Record<string, string>;
  log: string | undefined;
  /** The variables whose keys are not sent, as nobody has named the address. */
  keptBack: string[];
}

export type Variables = Readonly<Record<string, string | undefined>>;

/** Return the variables of this process; none where there is no process, as in a browser. */
export function processVariables(): Variables {
  const { process } = globalThis as { process?: { env?: Variables } };
  return process?.env ?? {};
}

/**
 * Read the variables. Empty ones count as not set; so do those that a runtime does not let read.
 * `isNamed` tells whether the program says the address itself.
 */
export function readEnvironment(variables: Variables, isNamed: boolean): Environment {
  const first = (...names: string[]): string | undefined => {
    for (const name of names) {
      const value = read(variables, name)?.trim();
      if (value) return value;
    }
    return undefined;
  };
  const baseURL = first("ANTIPHON_BASE_URL", "ANTHROPIC_BASE_URL");
  const keptBack: string[] = [];
  const secret = (theirs: string, ours?: string): string | undefined => {
    const own = ours === undefined ? undefined : first(ours);
    if (own !== undefined || isNamed || baseURL !== undefined) return own ?? first(theirs);
    if (first(theirs) !== undefined) keptBack.push(theirs);
    return undefined;
  };
  return {
    baseURL,
    apiKey: secret("ANTHROPIC_API_KEY", "ANTIPHON_API_KEY"),
    authToken: secret("ANTHROPIC_AUTH_TOKEN"),
    adminKey: secret("ANTHROPIC_ADMIN_KEY", "ANTIPHON_ADMIN_KEY"),
    headers: headersOf(secret("ANTHROPIC_CUSTOM_HEADERS") ?? ""),
    log: first("ANTIPHON_SDK_LOG", "ANTHROPIC_LOG"),
    keptBack,
  };
}

function read(variables: Variables, name: string): string | undefined {
  try {
    return variables[name];
  } catch {
    return undefined; // Deno throws if the program may not read the environment.
  }
}

/** Read one header a line. The value is no part of the fault's text: it may be a secret. */
function headersOf(lines: string): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [index, line] of lines.split("\n").entries()) {
    if (!line.trim()) continue;
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(colon, 0)).trim();
    if (!name) {
      throw new TypeError(
        `ANTHROPIC_CUSTOM_HEADERS: line ${index + 1} is not of the form \`Name: value\``,
      );
    }
    headers[name.toLowerCase()] = line.slice(colon + 1).trim();
  }
  return headers;
}
