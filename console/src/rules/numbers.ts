/** Formats a count: "12,345". */
export const WHOLE = new Intl.NumberFormat("en");
/** Formats a count where there is little room: "12.3K". */
export const COMPACT = new Intl.NumberFormat("en", {
  notation: "compact",
  maximumFractionDigits: 1,
});
