import type { CanonicalElement } from './canonical-xml.ts';
import type { XmlAttribute } from './xml-reader.ts';

/** A document to be written: elements with text or children, and comments. */
export type XmlNode = ElementNode | { comment: string };
export type ElementNode = {
  name: string;
  attributes: Readonly<Record<string, string>>;
  content: string | readonly XmlNode[];
};

/** An element. Undefined children are left out. */
export function element(
  name: string,
  content: string | readonly (XmlNode | undefined)[] = [],
  attributes: Readonly<Record<string, string>> = {},
): ElementNode {
  return {
    name,
    attributes,
    content: typeof content === 'string' ? content : content.filter((node) => node !== undefined),
  };
}

/** A comment. XML has no `--` in one, so each is written `- -`. */
export function comment(text: string): XmlNode {
  return { comment: text };
}

/** The node as XML without white space, comments or a declaration: the form that is signed. */
export function renderCompactXml(node: XmlNode): string {
  if ('comment' in node) return '';
  const content =
    typeof node.content === 'string' ? escapeXml(node.content) : node.content.map(renderCompactXml).join('');
  return content === '' ? `<${startOf(node)}/>` : `<${startOf(node)}>${content}</${node.name}>`;
}

/**
 * The element that is read in what {@link renderCompactXml} writes, to be brought into canonical form without reading
 * it back. Prefixes are those that it or `outer` declares.
 */
export function writtenElement(node: ElementNode, outer: Readonly<Record<string, string>> = {}): CanonicalElement {
  const namespaces: Record<string, string> = {};
  const others: [name: string, value: string][] = [];
  for (const [name, value] of Object.entries(node.attributes)) {
    if (name === 'xmlns' || name.startsWith('xmlns:')) namespaces[name.slice('xmlns:'.length)] = value;
    else others.push([name, allowed(value)]);
  }
  const scope = Object.keys(namespaces).length === 0 ? outer : { ...outer, ...namespaces };
  const attributes = others.map(([name, value]): XmlAttribute => {
    const colon = name.indexOf(':');
    return { ...resolved(name, colon < 0 ? '' : uriOf(scope, name.slice(0, colon))), name, value };
  });
  const content =
    typeof node.content === 'string'
      ? [allowed(node.content)]
      : node.content.flatMap((child) => ('comment' in child ? [] : [writtenElement(child, scope)]));
  const colon = node.name.indexOf(':');
  const uri = colon < 0 ? (scope[''] ?? '') : uriOf(scope, node.name.slice(0, colon));
  return { ...resolved(node.name, uri), name: node.name, attributes, namespaces, content };
}

function resolved(name: string, uri: string): { prefix: string; local: string; uri: string } {
  const colon = name.indexOf(':');
  return { prefix: name.slice(0, Math.max(0, colon)), local: name.slice(colon + 1), uri };
}

function uriOf(scope: Readonly<Record<string, string>>, prefix: string): string {
  const uri = scope[prefix];
  if (uri === undefined) throw new Error(`the prefix ${prefix} is not declared`);
  return uri;
}

/** The node as indented XML, without a declaration. */
export function renderXml(node: XmlNode, indent = ''): string {
  if ('comment' in node) {
    return `${indent}<!-- ${allowed(node.comment).replaceAll('--', '- -').replaceAll('--', '- -').replace(/-$/, '- ')} -->\n`;
  }
  const open = `${indent}<${startOf(node)}`;
  if (node.content.length === 0) {
    return `${open}/>\n`;
  }
  if (typeof node.content === 'string') {
    return `${open}>${escapeXml(node.content)}</${node.name}>\n`;
  }
  const inside = node.content.map((child) => renderXml(child, `${indent}  `)).join('');
  return `${open}>\n${inside}${indent}</${node.name}>\n`;
}

function startOf({ name, attributes }: ElementNode): string {
  return (
    name +
    Object.entries(attributes)
      .map(([key, value]) => ` ${key}="${escapeXml(value)}"`)
      .join('')
  );
}

function escapeXml(text: string): string {
  return allowed(text).replace(/[&<>"\t\n\r]/g, (character) => ESCAPES[character]);
}

/** White space is written so that no reader normalizes it. */
const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\t': '&#9;',
  '\n': '&#10;',
  '\r': '&#13;',
};

/** Characters that XML 1.0 cannot hold, not even escaped, become the replacement character. */
function allowed(text: string): string {
  return text.replace(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, '\uFFFD');
}
