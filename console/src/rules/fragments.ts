/** Return the one-time token of a link, which stands in its fragment: no log ever has it. */
export function tokenOf(fragment: string): string | null {
  return new URLSearchParams(fragment.replace(/^#/, "")).get("token") || null;
}
