import { expect, test } from 'vitest';
import { MdrError } from '#core/errors.ts';
import { readXml, readXmlBytes, XML_LIMITS } from './xml-reader.ts';

const ROOT = { uri: 'urn:r', local: 'r' };
const bytes = (text: string) => new TextEncoder().encode(text);
const inside = (text: string) => bytes(`<r xmlns="urn:r">${text}</r>`);
/** Of one thread's CPU, which a busy machine does not lengthen. */
const MICROSECONDS_MAX = 100_000;

function refusalOf(document: Uint8Array): { expected: string; line: number | undefined } {
  const before = process.threadCpuUsage();
  try {
    readXmlBytes('f.xml', ROOT, document);
  } catch (error) {
    expect(error).toBeInstanceOf(MdrError);
    expect((error as MdrError).code).toBe('XML_REFUSED');
    const { user, system } = process.threadCpuUsage(before);
    expect(user + system).toBeLessThan(MICROSECONDS_MAX);
    const [fault] = (error as MdrError).faults;
    expect(fault.file).toBe('f.xml');
    return { expected: fault.expected, line: fault.line };
  }
  throw new Error('the document was read');
}

const LOL = Array.from({ length: 9 }, (_, at) => `<!ENTITY l${at + 1} "${`&l${at};`.repeat(10)}">`).join('');
test.each([
  ['nothing', bytes(''), /empty document/],
  ['white space only', bytes('  \n '), /well-formed XML/],
  ['text that is no XML', bytes('hello'), /well-formed XML/],
  ['a billion laughs', bytes(`<!DOCTYPE r [<!ENTITY l0 "lol">${LOL}]><r xmlns="urn:r">&l9;</r>`), /no DOCTYPE/],
  ['an external DTD', bytes('<!DOCTYPE r SYSTEM "http://127.0.0.1/r.dtd"><r xmlns="urn:r"/>'), /no DOCTYPE/],
  ['an external entity', bytes('<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>'), /no DOCTYPE/],
  ['an undeclared entity', inside('&x;'), /well-formed XML/],
  ['a truncated document', bytes('<r xmlns="urn:r"><a>'), /well-formed XML/],
  ['a second root', bytes('<r xmlns="urn:r"/><r xmlns="urn:r"/>'), /well-formed XML/],
  ['an unbound prefix', inside('<x:a/>'), /well-formed XML/],
  ['a duplicate attribute', inside('<a b="1" b="2"/>'), /well-formed XML/],
  ['a control character', inside('\u0001'), /well-formed XML/],
  ['bytes that are not UTF-8', new Uint8Array([...bytes('<r xmlns="urn:r">'), 0xc3, 0x28]), /UTF-8/],
  ['UTF-8 cut within a character', new Uint8Array([...bytes('<r xmlns="urn:r">'), 0xc3]), /UTF-8/],
  ['UTF-16', new Uint8Array([0xff, 0xfe, 0x3c, 0x00]), /UTF-8/],
  ['another encoding', bytes('<?xml version="1.0" encoding="ISO-8859-1"?><r xmlns="urn:r"/>'), /encoding UTF-8/],
  ['another version of XML', bytes('<?xml version="1.1"?><r xmlns="urn:r"/>'), /version 1\.0/],
  ['another root', bytes('<s xmlns="urn:r"/>'), /a r of namespace urn:r/],
  ['another namespace', bytes('<r xmlns="urn:s"/>'), /a r of namespace urn:r/],
  ['deep nesting', inside('<a>'.repeat(40_000)), /nested at most 32 deep/],
  ['many elements', inside('<a/>'.repeat(30_000)), /at most 2000 elements/],
  [
    'many attributes',
    inside(`<a ${Array.from({ length: 13_000 }, (_, at) => `b${at.toString(36)}=""`).join(' ')}/>`),
    /attributes/,
  ],
  ['a long text', inside('x'.repeat(XML_LIMITS.textCharactersMax + 1)), /characters of text/],
  ['text in many pieces', inside('xx<?p?>'.repeat(18_000) + 'x'.repeat(XML_LIMITS.textCharactersMax)), /bytes/],
  ['a long attribute', inside(`<a b="${'&amp;'.repeat(20_000)}" b=""/>`), /well-formed XML/],
  [
    'many namespaces',
    inside(`<a ${Array.from({ length: 7_000 }, (_, at) => `xmlns:b${at}="u"`).join(' ')}/>`),
    /attributes/,
  ],
  ['a long document', inside(`<!--${'x'.repeat(XML_LIMITS.bytesMax)}-->`), /at most 131072 bytes/],
  ['a long name', bytes(`<${'x'.repeat(XML_LIMITS.bytesMax - 10)}`), /well-formed XML/],
])('refuses %s, in bounded time', (_, document, expected) => {
  expect(refusalOf(document).expected).toMatch(expected);
});

test('names the line of what it refuses', () => {
  expect(refusalOf(bytes('<r xmlns="urn:r">\n<a>\n</b>\n</r>')).line).toBe(3);
  expect(refusalOf(bytes('\n<s xmlns="urn:r"/>')).line).toBe(2);
});

test('resolves namespaces, keeps own text and order, and expands only the five entities of XML', () => {
  const { root } = readXmlBytes(
    'f.xml',
    ROOT,
    bytes('<p:r xmlns:p="urn:r"> a\n<b c="1"/>&amp;&#65;<![CDATA[<]]><d>e</d></p:r>'),
  );
  expect(root.text).toBe(' a\n&A<');
  expect(root.children.map(({ local, line }) => [local, line])).toEqual([
    ['b', 2],
    ['d', 2],
  ]);
  expect(root.children[0].attributes).toEqual([expect.objectContaining({ uri: '', local: 'c', value: '1' })]);
  expect(root.attributes).toEqual([]);
});

test('takes no chunk after the one that breaks a limit', async () => {
  let taken = 0;
  async function* endless() {
    yield bytes('<r xmlns="urn:r"><!--');
    for (;;) {
      taken++;
      yield bytes('x'.repeat(65_536));
    }
  }
  await expect(readXml('f.xml', ROOT, endless())).rejects.toBeInstanceOf(MdrError);
  expect(taken).toBe(XML_LIMITS.bytesMax / 65_536);
});

test('a character cut by a chunk boundary is whole again', async () => {
  const document = inside('é€😀');
  async function* byteByByte() {
    for (const byte of document) yield new Uint8Array([byte]);
  }
  expect((await readXml('f.xml', ROOT, byteByByte())).root.text).toBe('é€😀');
});
