import type { ReactNode } from "react";
import { orderAfter, partsOf } from "../rules/sorting.ts";

export interface Column<Row> {
  title: string;
  cell: (row: Row) => ReactNode;
  /** Right, in figures of one width. */
  number?: boolean;
  /** May break into lines. */
  wide?: boolean;
  /** May break between words. */
  lines?: boolean;
  /** Stays in sight where the table is wider than its place. */
  stays?: boolean;
  /** The order of the API that a click on the title asks for. */
  sort?: string;
  /** A sum below the column. */
  foot?: ReactNode;
}

/** The order of the rows, and what takes another one. The server sorts. */
export interface Sorting {
  order: string;
  onOrder: (order: string) => void;
}

/**
 * Rows under named columns; the first column names its row. On a phone it scrolls by itself, or each
 * row is a card: for few rows, whose values are worth more than a look at all of one column.
 */
export function Table<Row>({
  caption,
  columns,
  rows,
  keyOf,
  sorting,
  cards = false,
}: {
  caption: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  keyOf: (row: Row) => string;
  sorting?: Sorting | undefined;
  cards?: boolean;
}) {
  const style = ({ number, wide, lines, stays }: Column<Row>) =>
    number ? "number" : wide ? "wide" : lines ? "lines" : stays ? "stays" : undefined;
  const footed = columns.some((column) => column.foot !== undefined);
  // Cards are no table for a browser, unless it is told that they are.
  const role = (name: string) => (cards ? { role: name } : {});
  return (
    <section className="scroll" tabIndex={0} aria-label={caption}>
      <table className={cards ? "table cards" : "table"} {...role("table")}>
        <thead {...role("rowgroup")}>
          <tr {...role("row")}>
            {columns.map((column) => (
              <Title
                key={column.title}
                title={column.title}
                sort={column.sort}
                className={style(column)}
                sorting={sorting}
              />
            ))}
          </tr>
        </thead>
        <tbody {...role("rowgroup")}>
          {rows.map((row) => (
            <tr key={keyOf(row)} {...role("row")}>
              {columns.map((column, index) =>
                index === 0 ? (
                  <th
                    key={column.title}
                    scope="row"
                    className={style(column)}
                    {...role("rowheader")}
                  >
                    {column.cell(row)}
                  </th>
                ) : (
                  <td
                    key={column.title}
                    className={style(column)}
                    data-title={column.title}
                    {...role("cell")}
                  >
                    {cards ? <div>{column.cell(row)}</div> : column.cell(row)}
                  </td>
                ),
              )}
            </tr>
          ))}
        </tbody>
        {footed && (
          <tfoot {...role("rowgroup")}>
            <tr {...role("row")}>
              {columns.map((column) => (
                <td
                  key={column.title}
                  className={style(column)}
                  data-title={column.title}
                  {...role("cell")}
                >
                  {cards ? <div>{column.foot}</div> : column.foot}
                </td>
              ))}
            </tr>
          </tfoot>
        )}
      </table>
    </section>
  );
}

function Title({
  title,
  sort,
  className,
  sorting,
}: {
  title: string;
  sort: string | undefined;
  className: string | undefined;
  sorting: Sorting | undefined;
}) {
  if (!sort || !sorting) {
    return (
      <th scope="col" className={className}>
        {title}
      </th>
    );
  }
  const { by, falls } = partsOf(sorting.order);
  const here = by === sort;
  return (
    <th
      scope="col"
      className={className}
      aria-sort={here ? (falls ? "descending" : "ascending") : undefined}
    >
      <button
        type="button"
        className="sort"
        onClick={() => sorting.onOrder(orderAfter(sorting.order, sort))}
      >
        {title}
        <span aria-hidden="true">{here ? (falls ? "↓" : "↑") : "↕"}</span>
      </button>
    </th>
  );
}
