import type { Call } from "./client.ts";
import { ask } from "./client.ts";
import type { Listing, Report, TokenListing } from "./types.ts";

/** The most pages that are read to show one list whole. */
const MOST_PAGES = 20;

/** Return a whole listing that is walked by ids: for choices, of which there are few. */
export async function all<Item>(path: string, call: Call = {}): Promise<Item[]> {
  const items: Item[] = [];
  let after: string | undefined;
  for (let page = 0; page < MOST_PAGES; page++) {
    const query = { ...call.query, limit: 1000, after_id: after };
    const part = await ask<Listing<Item>>("GET", path, { ...call, query });
    items.push(...part.data);
    if (!part.has_more || !part.last_id) break;
    after = part.last_id;
  }
  return items;
}

/** Return a whole listing that is walked by tokens. */
export async function allByPage<Item>(path: string, call: Call = {}): Promise<Item[]> {
  const items: Item[] = [];
  let token: string | undefined;
  for (let page = 0; page < MOST_PAGES; page++) {
    const query = { ...call.query, page: token };
    const part = await ask<TokenListing<Item>>("GET", path, { ...call, query });
    items.push(...part.data);
    if (!part.next_page) break;
    token = part.next_page;
  }
  return items;
}

/** Return a whole report, which comes in pages of at most 31 days. */
export async function wholeReport<Result>(path: string, call: Call = {}): Promise<Report<Result>> {
  const data: Report<Result>["data"] = [];
  let token: string | undefined;
  for (let page = 0; page < MOST_PAGES; page++) {
    const query = { ...call.query, page: token };
    const part = await ask<Report<Result>>("GET", path, { ...call, query });
    data.push(...part.data);
    if (!part.has_more || !part.next_page) break;
    token = part.next_page;
  }
  return { data, has_more: false, next_page: null };
}
