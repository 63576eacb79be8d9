/** The version of Antiphon that this app was built with. */
declare const __ANTIPHON_VERSION__: string;
