import { type Markup, markup, NOTHING } from './markup.ts';

export type Column<Row> = {
  head: string;
  cell: (row: Row) => Markup | string;
  /** Figures are set to the right. The first column is the row's heading. */
  figures?: boolean;
};

/** A table that scrolls by itself when it is wider than the page, with headings that a screen reader ties to cells. */
export function table<Row>(
  caption: string,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  foot: readonly (Markup | string)[] = [],
): Markup {
  const head = columns.map(
    ({ head, figures }) => markup`<th scope="col"${figures === true ? RIGHT : NOTHING}>${head}</th>`,
  );
  const body = rows.map(
    (row) => markup`<tr>${columns.map((column, index) => cellOf(column, index, column.cell(row)))}</tr>
`,
  );
  const last = foot.map((cell, index) => cellOf(columns[index], index, cell));
  return markup`<div class="scroll" tabindex="0" role="region" aria-label="${caption}"><table><caption>${caption}</caption><thead><tr>${head}</tr></thead><tbody>${body}</tbody>${
    foot.length === 0 ? NOTHING : markup`<tfoot><tr>${last}</tr></tfoot>`
  }</table></div>`;
}

const RIGHT = markup` class="figures"`;

function cellOf<Row>(column: Column<Row>, index: number, content: Markup | string): Markup {
  const figures = column.figures === true ? RIGHT : NOTHING;
  return index === 0 ? markup`<th scope="row"${figures}>${content}</th>` : markup`<td${figures}>${content}</td>`;
}

/** A table kept behind a heading, for the data of a chart. */
export function folded(heading: string, content: Markup): Markup {
  return markup`<details><summary>${heading}</summary>${content}</details>`;
}
