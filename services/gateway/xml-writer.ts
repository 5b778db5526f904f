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
  return allowed(text).replace(/[&<>"]/g, (character) => ESCAPES[character]);
}

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** Characters that XML 1.0 cannot hold, not even escaped, become the replacement character. */
function allowed(text: string): string {
  return text.replace(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, '\uFFFD');
}
