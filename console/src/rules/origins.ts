/** Return the base URL for clients of the server that this page came from. */
export function baseUrl(): string {
  return window.location.origin;
}

/** Return whether an address is one of this machine: what it leads to runs beside the browser. */
export function isLoopback(address: string): boolean {
  const { hostname } = new URL(address);
  return hostname === "localhost" || hostname === "[::1]" || /^127(\.\d+){3}$/.test(hostname);
}
