import fc from 'fast-check';
import { ParseOption, XmlC14NMode, XmlDocument, type XmlElement } from 'libxml2-wasm';
import { expect, test } from 'vitest';
import { MdrError } from '#core/errors.ts';
import { canonicalDocument, canonicalElement } from './canonical-xml.ts';
import { readXmlBytes } from './xml-reader.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const read = (text: string) => readXmlBytes('f.xml', undefined, bytes(text));

// The examples of the Canonical XML recommendation that need no DTD.
test.each([
  [
    'instructions and the text around them',
    '<?xml version="1.0"?>\n<?style  href="a"\n ?>\n\n<doc>Hello<!-- c --><?pi?></doc>\n\n<?pi-without-data     ?>\n',
    '<?style href="a"\n ?>\n<doc>Hello<?pi?></doc>\n<?pi-without-data?>',
  ],
  [
    'start and end tags',
    `<doc><e1 /><e2></e2><e3 id="z" name = "e3"/><e5 xmlns="urn:d" xmlns:b="urn:b" xmlns:a="urn:a" b:attr="i" attr2="all" attr='5' a:attr="out"/></doc>`,
    '<doc><e1></e1><e2></e2><e3 id="z" name="e3"></e3><e5 xmlns="urn:d" xmlns:a="urn:a" xmlns:b="urn:b" attr="5" attr2="all" a:attr="out" b:attr="i"></e5></doc>',
  ],
  [
    'characters and references to them',
    '<doc><t>A&#x0d;\r\n&#xA;B</t><v a="1 &#x9;\t&quot;&lt;>\'">&gt;<![CDATA[<&>]]></v></doc>',
    '<doc><t>A&#xD;\n\nB</t><v a="1 &#x9; &quot;&lt;>\'">&gt;&lt;&amp;&gt;</v></doc>',
  ],
  ['namespaces', '<a xmlns="urn:x?a&amp;b"/>', '<a xmlns="urn:x?a&amp;b"></a>'],
])('%s are written in one way', (_, text, canonical) => {
  expect(canonicalDocument(read(text), false)).toBe(canonical);
});

type Tree = { prefix: string; local: string; declares: [string, string][]; attributes: string[][]; content: Content[] };
type Content = { text: string } | { tree: Tree };

const PREFIX = fc.constantFrom('', 'p', 'q', 'Q', 'é');
// libxml2 writes an ampersand in a namespace as it is; the recommendation has it escaped as in an attribute.
const URI = fc.constantFrom('urn:a', 'urn:b', 'urn:c?x=1', 'http://a.b/C');
const NAME = fc.constantFrom('a', 'b', 'B', 'é', '\u{10400}', '\ufa0e');
const TEXT = fc.constantFrom(
  ...[
    'x',
    ' ',
    '\n',
    '\r\n',
    '\r',
    '\t',
    '&#13;',
    '&amp;',
    '&lt;',
    '>',
    '"',
    "'",
    '&#xE9;',
    '😀',
    ']]',
    '&#9;',
    '&#10;',
  ],
);
const MARKUP = fc.constantFrom('<!-- c -->', '<?t?>', '<?t  d &x; ?>', '<![CDATA[<&>"\r]]>', '<![CDATA[]]>');
const { tree: TREE } = fc.letrec<{ tree: Tree; content: Content }>((tie) => ({
  tree: fc.record({
    prefix: PREFIX,
    local: NAME,
    declares: fc.uniqueArray(fc.tuple(PREFIX, URI), { selector: ([prefix]) => prefix, maxLength: 3 }),
    attributes: fc.uniqueArray(fc.tuple(fc.constantFrom('', 'p:', 'q:', 'xml:'), NAME, TEXT, TEXT), {
      selector: ([prefix, name]) => prefix + name,
      maxLength: 4,
    }),
    content: fc.array(tie('content'), { maxLength: 4 }),
  }),
  content: fc.oneof(
    { weight: 2, arbitrary: fc.oneof(TEXT, MARKUP).map((text) => ({ text })) },
    { weight: 1, arbitrary: tie('tree').map((tree) => ({ tree })) },
  ),
}));

function textOf({ prefix, local, declares, attributes, content }: Tree, isRoot = false): string {
  const all = isRoot
    ? [...new Map([...['p', 'q', 'Q', 'é'].map((one) => [one, 'urn:r'] as const), ...declares])]
    : declares;
  const namespaces = all.map(([one, uri]) => ` xmlns${one === '' ? '' : `:${one}`}="${uri}"`);
  const undeclares = prefix === '' && declares.every(([one]) => one !== '') && local === 'b' ? ' xmlns=""' : '';
  const values = attributes.map(([one, name, ...parts]) => ` ${one}${name}="${parts.join('').replaceAll('"', '')}"`);
  const name = prefix === '' ? local : `${prefix}:${local}`;
  const inside = content.map((one) => ('text' in one ? one.text : textOf(one.tree))).join('');
  return `<${name}${namespaces.join('')}${undeclares}${values.join('')}>${inside}</${name}>`;
}
const DOCUMENT = fc
  .tuple(fc.constantFrom('', '<?t d?>', '<!-- c -->\n'), TREE, fc.constantFrom('', '\n<?t?>\n<!-- c -->'))
  .map(([before, tree, after]) => before + textOf(tree, true) + after);

const MODES = [
  [false, XmlC14NMode.XML_C14N_1_0],
  [true, XmlC14NMode.XML_C14N_EXCLUSIVE_1_0],
] as const;

test('a document, one without an element, and an element alone have the canonical form that libxml2 gives them', () => {
  let compared = 0;
  fc.assert(
    fc.property(DOCUMENT, fc.nat(), (text, pick) => {
      const reference = parse(text);
      const ours = readOrRefuse(text);
      expect(ours === undefined).toBe(reference === undefined);
      if (reference === undefined || ours === undefined) return;
      compared++;
      for (const [exclusive, mode] of MODES) {
        expect(canonicalDocument(ours, exclusive)).toBe(reference.canonicalizeToString({ mode }));
      }
      const elements = reference.find('/*/*') as XmlElement[];
      if (elements.length > 0) {
        const at = pick % elements.length;
        const mode = XmlC14NMode.XML_C14N_EXCLUSIVE_1_0;
        expect(canonicalElement(ours.root.children[at])).toBe(elements[at].canonicalizeToString({ mode }));
        elements[at].remove();
        for (const [exclusive, mode] of MODES) {
          const without = canonicalDocument(ours, exclusive, ours.root.children[at]);
          expect(without).toBe(reference.canonicalizeToString({ mode }));
        }
      }
      reference.dispose();
    }),
    { numRuns: 2000 },
  );
  expect(compared).toBeGreaterThan(1000);
});

test('what is canonical stays as it is', () => {
  fc.assert(
    fc.property(DOCUMENT, fc.boolean(), (text, exclusive) => {
      const document = readOrRefuse(text);
      if (document === undefined) return;
      const canonical = canonicalDocument(document, exclusive);
      expect(canonicalDocument(read(canonical), exclusive)).toBe(canonical);
    }),
  );
});

function parse(text: string): XmlDocument | undefined {
  try {
    return XmlDocument.fromString(text, { option: ParseOption.XML_PARSE_NONET });
  } catch {
    return undefined;
  }
}

function readOrRefuse(text: string) {
  try {
    return read(text);
  } catch (error) {
    if (!(error instanceof MdrError)) throw error;
    return undefined;
  }
}
