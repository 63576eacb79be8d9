import {
  keepPreviousData,
  type QueryKey,
  type UseQueryOptions,
  useQuery,
} from "@tanstack/react-query";
import { ask, type Query } from "../api/client.ts";
import type { Listing, TokenListing } from "../api/types.ts";
import { changed, type ListPlace, pageQuery } from "../rules/listing.ts";
import type { Sorting } from "./Table.tsx";

/** A list of the API that is shown a page at a time. */
interface Listed<Where extends ListPlace> {
  /** Begins the key of its pages among all that was asked for. */
  of: QueryKey;
  path: string;
  /** Where it is, as the address says it, and what shows another place. */
  search: Where;
  onSearch: (search: Omit<Where, "after" | "before">) => void;
  /** The order where the place names none. */
  order: string;
  /** The parameters beside those of every list. */
  filters?: Query;
}

/** Ask for a page of a list that is walked by tokens, which lead onwards only. */
export function useTokenListing<Item>(
  of: QueryKey,
  path: string,
  query: Query & { limit: number; page: string | undefined },
  every: Pick<UseQueryOptions<TokenListing<Item>>, "refetchInterval" | "staleTime"> = {},
) {
  return useQuery({
    queryKey: [...of, query],
    queryFn: ({ signal }) => ask<TokenListing<Item>>("GET", path, { query, signal }),
    placeholderData: keepPreviousData,
    ...every,
  });
}

/** Return what changes a list's filters, order and page, of which the first two begin at its first page. */
export function useNarrowing<Where extends ListPlace>({
  search,
  onSearch,
  order,
}: Pick<Listed<Where>, "search" | "onSearch" | "order">) {
  const narrow = (change: object) => onSearch(changed(search, change));
  const sorting: Sorting = { order: search.sort ?? order, onOrder: (sort) => narrow({ sort }) };
  return { narrow, sorting };
}

/** Ask for a page of a list; return it with what changes its filters, its order and its page. */
export function useListing<Item, Where extends ListPlace = ListPlace>(list: Listed<Where>) {
  const { of, path, search, order, filters } = list;
  const page = useQuery({
    queryKey: [...of, search],
    queryFn: ({ signal }) =>
      ask<Listing<Item>>("GET", path, {
        query: { ...pageQuery(search, order), ...filters },
        signal,
      }),
    placeholderData: keepPreviousData,
  });
  return { page, ...useNarrowing(list) };
}
