// Pages as they come, and what asks for the next.

/** A page as it comes. Lists by ids have the fields up to `last_id`, lists by cursor the last. */
export interface PageBody<Item> {
  data: Item[];
  has_more?: boolean | undefined;
  first_id?: string | null | undefined;
  last_id?: string | null | undefined;
  next_page?: string | null | undefined;
}

/** Return the query of the page behind a page, which goes on in the direction of the first. */
export function nextQuery(query: object, page: PageBody<unknown>): object | null {
  const { after_id: _, before_id: before, page: __, ...kept } = query as Record<string, unknown>;
  if (page.next_page) return { ...kept, page: page.next_page };
  if (!page.has_more || !page.data.length) return null;
  if (before !== undefined) return page.first_id ? { ...kept, before_id: page.first_id } : null;
  return page.last_id ? { ...kept, after_id: page.last_id } : null;
}
