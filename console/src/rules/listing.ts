// A page of a list: what its address says, as parameters of the API.

import { orderQuery } from "./sorting.ts";

/** Where a list is: what its names contain, its order, and the mark of its page. */
export interface ListPlace {
  q?: string;
  sort?: string;
  after?: string;
  before?: string;
}

/** The rows of a page. */
export const PAGE_ROWS = 50;

/** Return a place with a change. The mark of a page is forgotten: it is one of another list. */
export function changed<Where extends ListPlace>(
  place: Where,
  change: object,
): Omit<Where, "after" | "before"> {
  const { after: _after, before: _before, ...rest } = place;
  return { ...rest, ...change };
}

/** Return whether a place leaves anything out: an order and a page do not. */
export function isFiltered(place: ListPlace): boolean {
  const { after: _after, before: _before, sort: _sort, ...filters } = place;
  return Object.values(filters).some((value) => value !== undefined);
}

/** Return the parameters of the API for a page, in this order where the place names none. */
export function pageQuery({ q, sort, after, before }: ListPlace, order: string) {
  return {
    limit: PAGE_ROWS,
    ...orderQuery(sort ?? order),
    contains: q,
    after_id: after,
    before_id: before,
  };
}
