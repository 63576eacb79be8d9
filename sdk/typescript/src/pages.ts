// Lists that come in pages.

import { Call } from "./call.ts";
import type { Reply } from "./exchange.ts";

/** A page as it comes. Lists by ids have the fields up to `last_id`, lists by cursor the last. */
export interface PageBody<Item> {
  data: Item[];
  has_more?: boolean | undefined;
  first_id?: string | null | undefined;
  last_id?: string | null | undefined;
  next_page?: string | null | undefined;
}

/** Asks for one page. */
export type AskPage<Item> = (query: object) => Call<PageBody<Item>>;

/** One page; iterating begins with its own objects and fetches the pages behind it. */
export class Page<Item> implements AsyncIterable<Item> {
  readonly data: Item[];
  readonly hasMore: boolean;
  readonly #next: object | null;
  readonly #ask: AskPage<Item>;

  constructor(body: PageBody<Item>, query: object, ask: AskPage<Item>) {
    this.data = body.data;
    this.#next = nextQuery(query, body);
    this.hasMore = this.#next !== null;
    this.#ask = ask;
  }

  /** Fetch the page behind this one; `null` behind the last. */
  async nextPage(): Promise<Page<Item> | null> {
    const query = this.#next;
    return query && new Page(await this.#ask(query), query, this.#ask);
  }

  /** `hasMore`, by the name of the official SDK. */
  hasNextPage(): boolean {
    return this.hasMore;
  }

  /** `nextPage`, by the name of the official SDK. */
  getNextPage(): Promise<Page<Item> | null> {
    return this.nextPage();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Item> {
    for (let page: Page<Item> | null = this; page; page = await page.nextPage()) yield* page.data;
  }
}

/** A list: await it for its first page, or iterate over the objects of all pages. */
export class Pages<Item> extends Call<Page<Item>> implements AsyncIterable<Item> {
  constructor(query: object, ask: AskPage<Item>) {
    super(async (isRaw): Promise<Reply<Page<Item> | undefined>> => {
      const call = ask(query);
      if (isRaw) {
        const response = await call.asResponse();
        const requestId = response.headers.get("request-id");
        return { value: undefined, response, requestId, retries: 0 };
      }
      const { data, ...rest } = await call.withResponse();
      return { value: new Page(data, query, ask), ...rest };
    });
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Item> {
    yield* await this;
  }
}

/** Return the query of the page behind a page, which goes on in the direction of the first. */
export function nextQuery(query: object, page: PageBody<unknown>): object | null {
  const { after_id: _, before_id: before, page: __, ...kept } = query as Record<string, unknown>;
  if (page.next_page) return { ...kept, page: page.next_page };
  if (!page.has_more || !page.data.length) return null;
  if (before !== undefined) return page.first_id ? { ...kept, before_id: page.first_id } : null;
  return page.last_id ? { ...kept, after_id: page.last_id } : null;
}
