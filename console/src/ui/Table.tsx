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
  /** Takes the room that the others leave: names, of which longer ones are cut off. */
  rest?: boolean;
  /** Is left out on a phone: the page behind the row has it. */
  aside?: boolean;
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

/** Return the role of a part of a table: for a browser, cards are none unless they say so. */
function role(name: string) {
  return { role: name };
}

/**
 * Rows under named columns; the first column names its row. On a phone each row is a card, so that
 * nothing is beyond the edge.
 */
export function Table<Row>({
  caption,
  columns,
  rows,
  keyOf,
  sorting,
}: {
  caption: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  keyOf: (row: Row) => string;
  sorting?: Sorting | undefined;
}) {
  const style = ({ number, wide, lines, rest, aside, stays }: Column<Row>) =>
    Object.entries({ number, wide, lines, rest, aside, stays })
      .filter(([, is]) => is)
      .map(([name]) => name)
      .join(" ") || undefined;
  const footed = columns.some((column) => column.foot !== undefined);
  return (
    <section className="scroll" tabIndex={0} aria-label={caption}>
      <table className="table cards" {...role("table")}>
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
                    <div>{column.cell(row)}</div>
                  </th>
                ) : (
                  <td
                    key={column.title}
                    className={style(column)}
                    data-title={column.title}
                    {...role("cell")}
                  >
                    <div>{column.cell(row)}</div>
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
                  <div>{column.foot}</div>
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
      <th scope="col" className={className} {...role("columnheader")}>
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
      {...role("columnheader")}
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
