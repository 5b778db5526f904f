import type { XmlAttribute, XmlInstruction } from './xml-reader.ts';

/** What the canonical form of an element is made of: one that was read, or one that is to be written. */
export type CanonicalElement = {
  name: string;
  prefix: string;
  uri: string;
  attributes: readonly XmlAttribute[];
  /** The namespaces that it declares, by prefix. */
  namespaces: Readonly<Record<string, string>>;
  content: readonly (CanonicalElement | XmlInstruction | string)[];
};
export type CanonicalDocument = {
  root: CanonicalElement;
  before: readonly XmlInstruction[];
  after: readonly XmlInstruction[];
};

/**
 * Canonical XML 1.0 of a whole document, or the exclusive form of it, without comments, and without one element if so
 * asked (the enveloped-signature transform). [W3C REC-xml-c14n-20010315, REC-xml-exc-c14n-20020718]
 */
export function canonicalDocument(document: CanonicalDocument, exclusive: boolean, without?: CanonicalElement): string {
  const before = document.before.map((one) => `${instruction(one)}\n`);
  const after = document.after.map((one) => `\n${instruction(one)}`);
  return before.join('') + writeElement(document.root, undefined, exclusive, without) + after.join('');
}

/** The exclusive canonical form, without comments, of an element that may stand anywhere. */
export function canonicalElement(element: CanonicalElement): string {
  return writeElement(element, undefined, true, undefined);
}

/** The namespace declarations written so far, the nearest first. */
type Scope = { prefix: string; uri: string; outer: Scope } | undefined;

function writeElement(element: CanonicalElement, outer: Scope, exclusive: boolean, without?: CanonicalElement): string {
  let scope = outer;
  let text = `<${element.name}`;
  for (const [prefix, uri] of declarationsOf(element, outer, exclusive)) {
    text += ` ${prefix === '' ? 'xmlns' : `xmlns:${prefix}`}="${escapeAttribute(uri)}"`;
    scope = { prefix, uri, outer: scope };
  }
  for (const { name, value } of inOrder(element.attributes)) {
    text += ` ${name}="${escapeAttribute(value)}"`;
  }
  text += '>';
  for (const node of element.content) {
    if (typeof node === 'string') text += escapeText(node);
    else if ('target' in node) text += instruction(node);
    else if (node !== without) text += writeElement(node, scope, exclusive, without);
  }
  return `${text}</${element.name}>`;
}

/** Declarations to write at an element, by prefix: its own, or in the exclusive form those that it makes use of. */
function declarationsOf(element: CanonicalElement, scope: Scope, exclusive: boolean): [prefix: string, uri: string][] {
  const needed = exclusive ? [...namespacesUsed(element)] : Object.entries(element.namespaces);
  const missing = needed.filter(
    ([prefix, uri]) => prefix !== 'xml' && prefix !== 'xmlns' && uriIn(scope, prefix) !== uri,
  );
  return missing.length < 2 ? missing : missing.sort(([a], [b]) => compareUtf8(a, b));
}

function namespacesUsed({ prefix, uri, attributes }: CanonicalElement): Map<string, string> {
  const used = new Map([[prefix, uri]]);
  for (const attribute of attributes) {
    if (attribute.prefix !== '') used.set(attribute.prefix, attribute.uri);
  }
  return used;
}

function uriIn(scope: Scope, prefix: string): string {
  for (let at = scope; at !== undefined; at = at.outer) {
    if (at.prefix === prefix) return at.uri;
  }
  return '';
}

function inOrder(attributes: readonly XmlAttribute[]): readonly XmlAttribute[] {
  return attributes.length < 2
    ? attributes
    : [...attributes].sort((a, b) => compareUtf8(a.uri, b.uri) || compareUtf8(a.local, b.local));
}

/** By code points, which is the order of their UTF-8 bytes and not of a string's UTF-16 units. */
function compareUtf8(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function instruction({ target, data }: XmlInstruction): string {
  return `<?${target}${data === '' ? '' : ` ${data}`}?>`;
}

function escapeText(text: string): string {
  return /[&<>\r]/.test(text) ? text.replace(/[&<>\r]/g, (character) => ESCAPES[character]) : text;
}

function escapeAttribute(text: string): string {
  return /[&<"\t\n\r]/.test(text) ? text.replace(/[&<"\t\n\r]/g, (character) => ESCAPES[character]) : text;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\t': '&#x9;',
  '\n': '&#xA;',
  '\r': '&#xD;',
};
