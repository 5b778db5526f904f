/** A document to be written: elements with text or children, and comments. */
export type XmlNode =
  | { name: string; attributes: Readonly<Record<string, string>>; content: string | readonly XmlNode[] }
  | { comment: string };

/** An element. Undefined children are left out. */
export function element(
  name: string,
  content: string | readonly (XmlNode | undefined)[] = [],
  attributes: Readonly<Record<string, string>> = {},
): XmlNode {
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

/** The node as indented XML, without a declaration. */
export function renderXml(node: XmlNode, indent = ''): string {
  if ('comment' in node) {
    return `${indent}<!-- ${allowed(node.comment).replaceAll('--', '- -').replaceAll('--', '- -').replace(/-$/, '- ')} -->\n`;
  }
  const attributes = Object.entries(node.attributes).map(([name, value]) => ` ${name}="${escapeXml(value)}"`);
  const open = `${indent}<${node.name}${attributes.join('')}`;
  if (node.content.length === 0) {
    return `${open}/>\n`;
  }
  if (typeof node.content === 'string') {
    return `${open}>${escapeXml(node.content)}</${node.name}>\n`;
  }
  const inside = node.content.map((child) => renderXml(child, `${indent}  `)).join('');
  return `${open}>\n${inside}${indent}</${node.name}>\n`;
}

function escapeXml(text: string): string {
  return allowed(text).replace(/[&<>"]/g, (character) => ESCAPES[character]);
}

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** Characters that XML 1.0 cannot hold, not even escaped, become the replacement character. */
function allowed(text: string): string {
  return text.replace(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, '\uFFFD');
}
