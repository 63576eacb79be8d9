import { nextQuery } from "../../../sdk/typescript/src/paging.ts";
import type { Call, Query } from "./client.ts";
import { ask } from "./client.ts";
import type { Listing, Report, TokenListing } from "./types.ts";

/** The most pages that are read to show one list whole. */
const MOST_PAGES = 20;

/** Return a whole listing that is walked by ids: for choices, of which there are few. */
export function all<Item>(path: string, call: Call = {}): Promise<Item[]> {
  return walked<Listing<Item>>(path, { ...call, query: { ...call.query, limit: 1000 } });
}

/** Return a whole listing that is walked by tokens. */
export function allByPage<Item>(path: string, call: Call = {}): Promise<Item[]> {
  return walked<TokenListing<Item>>(path, call);
}

/** Return a whole report, which comes in pages of at most 31 days. */
export async function wholeReport<Result>(path: string, call: Call = {}): Promise<Report<Result>> {
  const data = await walked<Report<Result>>(path, call);
  return { data, has_more: false, next_page: null };
}

async function walked<Page extends { data: unknown[] }>(
  path: string,
  call: Call,
): Promise<Page["data"]> {
  const items: Page["data"] = [];
  let query: object | null = call.query ?? {};
  for (let page = 0; query && page < MOST_PAGES; page++) {
    const part: Page = await ask<Page>("GET", path, { ...call, query: query as Query });
    items.push(...part.data);
    query = nextQuery(query, part);
  }
  return items;
}
