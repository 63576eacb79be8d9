// An open tab survives an upgrade of the server: the app's files have other names afterwards.

const RELOADED_AT = "antiphon-reloaded-at";
/** A second reload within this time would not help either. */
const PAUSE_MS = 20_000;

/** Return whether an error says that a part of the app is not on the server any more. */
export function isMissingPart(error: unknown): boolean {
  const said = error instanceof Error ? error.message : String(error);
  return /dynamically imported module|module script|preload CSS/i.test(said);
}

/** Reload the page, unless this tab did so a moment ago; return whether it reloads. */
export function reloadOnce(now = Date.now()): boolean {
  const last = Number(sessionStorage.getItem(RELOADED_AT) ?? 0);
  if (now - last < PAUSE_MS) return false;
  sessionStorage.setItem(RELOADED_AT, String(now));
  window.location.reload();
  return true;
}
