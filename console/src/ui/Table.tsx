import type { ReactNode } from "react";

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
  /** A sum below the column. */
  foot?: ReactNode;
}

/** Rows under named columns; the first column names its row. It scrolls by itself on a phone. */
export function Table<Row>({
  caption,
  columns,
  rows,
  keyOf,
}: {
  caption: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  keyOf: (row: Row) => string;
}) {
  const style = ({ number, wide, lines, stays }: Column<Row>) =>
    number ? "number" : wide ? "wide" : lines ? "lines" : stays ? "stays" : undefined;
  const footed = columns.some((column) => column.foot !== undefined);
  return (
    <section className="scroll" tabIndex={0} aria-label={caption}>
      <table className="table">
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.title} scope="col" className={style(column)}>
                {column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)}>
              {columns.map((column, index) =>
                index === 0 ? (
                  <th key={column.title} scope="row" className={style(column)}>
                    {column.cell(row)}
                  </th>
                ) : (
                  <td key={column.title} className={style(column)}>
                    {column.cell(row)}
                  </td>
                ),
              )}
            </tr>
          ))}
        </tbody>
        {footed && (
          <tfoot>
            <tr>
              {columns.map((column) => (
                <td key={column.title} className={style(column)}>
                  {column.foot}
                </td>
              ))}
            </tr>
          </tfoot>
        )}
      </table>
    </section>
  );
}
