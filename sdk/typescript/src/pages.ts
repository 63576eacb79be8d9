// Lists that come in pages.

import { Call } from "./call.ts";
import type { Reply } from "./exchange.ts";
import { nextQuery, type PageBody } from "./paging.ts";

/** Asks for one page. */
export type AskPage<Item> = (query: object) => Call<PageBody<Item>>;

/** One page; iterating begins with its own objects and fetches the pages behind it. */
export class Page<Item> implements AsyncIterable<Item> {
  readonly data: Item[];
  /** The page as it came, with its ids or its cursor: for who shows one page at a time. */
  readonly body: PageBody<Item>;
  readonly hasMore: boolean;
  readonly #next: object | null;
  readonly #ask: AskPage<Item>;

  constructor(body: PageBody<Item>, query: object, ask: AskPage<Item>) {
    this.data = body.data;
    this.body = body;
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
