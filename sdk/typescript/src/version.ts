/** The release, which is that of the server. */
export const VERSION = "0.1.0";
