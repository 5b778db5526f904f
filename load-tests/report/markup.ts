/** Text that is markup already. Only {@link markup} and {@link trusted} make it, so nothing else gets in unescaped. */
export type Markup = { readonly markup: string };
type Slot = string | number | Markup | readonly Slot[];

/**
 * Template tag for HTML and SVG. Strings are escaped, lists joined, numbers (coordinates) cut to two decimals; a number
 * that is not finite is a programmer's mistake and throws. What comes out is also well-formed XML when the template is.
 */
export function markup(parts: TemplateStringsArray, ...slots: readonly Slot[]): Markup {
  let text = parts[0];
  for (let i = 0; i < slots.length; i++) text += render(slots[i]) + parts[i + 1];
  return { markup: text };
}

export const NOTHING: Markup = { markup: '' };

/** One piece of markup from the project's own files (style, script), where escaping would break it. */
export function trusted(text: string): Markup {
  return { markup: text };
}

/** A name that came from outside: shown as it stands, whatever its writing direction does to its surroundings. */
export function foreign(name: string): Markup {
  return markup`<bdi>${name}</bdi>`;
}

/** Characters that XML 1.0 has no place for, and those that would reorder or hide the text around them. */
const UNPRINTABLE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufffe\uffff]/g;

/** The text with every character that cannot be shown replaced by U+FFFD. */
export function printable(text: string): string {
  return text.toWellFormed().replace(UNPRINTABLE, '\ufffd');
}

const ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

export function escapeMarkup(text: string): string {
  return printable(text).replace(/[&<>"']/g, (character) => ESCAPES[character]);
}

function render(slot: Slot): string {
  if (typeof slot === 'string') return escapeMarkup(slot);
  if (typeof slot === 'number') return coordinate(slot);
  if (Array.isArray(slot)) return slot.map(render).join('');
  return (slot as Markup).markup;
}

/** A number as an SVG coordinate: at most two decimals, no exponent. */
export function coordinate(value: number): string {
  if (!Number.isFinite(value)) throw new Error(`not a coordinate: ${value}`);
  return String(Math.round(value * 100) / 100);
}
