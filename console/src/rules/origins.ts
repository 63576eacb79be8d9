/** Return the base URL for clients of the server that this page came from. */
export function baseUrl(): string {
  return window.location.origin;
}
