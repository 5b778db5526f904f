import { type Markup, markup, NOTHING } from '../markup.ts';

/** What a reader who cannot see the drawing is told; the id is unique on the page. */
export type Caption = { id: string; title: string; description: string };

/**
 * The room for a drawing. Text keeps its size, so each chart is drawn twice: for a screen or a sheet of paper and,
 * where `narrow`, for a phone; the page shows one of them.
 */
export type Room = { width: number; narrow: boolean };

export const PAGE_ROOM: Room = { width: 1040, narrow: false };
export const PANEL_ROOM: Room = { width: 508, narrow: false };
export const PHONE_ROOM: Room = { width: 352, narrow: true };

/** Where the rows of a drawing's data table lie, from `left` to `right`: the page tells the one pointed at. */
export type Plot = { left: number; right: number; rows: number };

/** One SVG with its accessible name and description. */
export function drawing(caption: Caption, room: Room, height: number, body: Markup, plot?: Plot): Markup {
  const id = `${caption.id}-${room.narrow ? 'narrow' : 'wide'}`;
  const timed =
    plot === undefined
      ? NOTHING
      : markup` data-left="${plot.left}" data-right="${plot.right}" data-rows="${plot.rows}"`;
  return markup`<svg class="chart ${room.narrow ? 'narrow' : 'wide'}" viewBox="0 0 ${room.width} ${height}" width="${room.width}" height="${height}"${timed} role="img" aria-labelledby="${id}-title ${id}-desc"><title id="${id}-title">${caption.title}</title><desc id="${id}-desc">${caption.description}</desc>${body}</svg>
`;
}

export function line(name: string, x1: number, y1: number, x2: number, y2: number): Markup {
  return markup`<line class="${name}" x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}"/>`;
}

export function box(name: string, x: number, y: number, width: number, height: number, told = ''): Markup {
  const title = told === '' ? NOTHING : markup`<title>${told}</title>`;
  return markup`<rect class="${name}" x="${x}" y="${y}" width="${Math.max(0, width)}" height="${Math.max(0, height)}">${title}</rect>`;
}

export function text(name: string, x: number, y: number, label: string, told = ''): Markup {
  const title = told === '' ? NOTHING : markup`<title>${told}</title>`;
  return markup`<text class="${name}" x="${x}" y="${y}">${title}${label}</text>`;
}

/** The label cut to about `width`; at 12 px a character takes 6.6 on average. */
export function fitted(label: string, width: number): string {
  const characters = [...label];
  const charactersMax = Math.max(3, Math.floor(width / 6.6));
  return characters.length <= charactersMax ? label : `${characters.slice(0, charactersMax - 1).join('')}…`;
}
