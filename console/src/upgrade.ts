// An open tab survives an upgrade of the server: the app's files have other names afterwards.

const RELOADED_AT = "antiphon-reloaded-at";
/** A second reload within this time would not help either. */
const PAUSE_MS = 20_000;

/** Reload the page once if a part of the app is not on the server any more. */
export function reloadForMissingChunks(): void {
  window.addEventListener("vite:preloadError", (event) => {
    if (reloadOnce()) event.preventDefault();
  });
}

/** Reload the page, unless this tab did so a moment ago; return whether it reloads. */
export function reloadOnce(now = Date.now()): boolean {
  const last = Number(sessionStorage.getItem(RELOADED_AT) ?? 0);
  if (now - last < PAUSE_MS) return false;
  sessionStorage.setItem(RELOADED_AT, String(now));
  window.location.reload();
  return true;
}
