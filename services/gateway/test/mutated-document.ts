/**
 * Damages one document of a corpus in one to five ways, drawn from a seed: its elements are dropped, repeated, moved,
 * wrapped, renamed and exchanged with those of the others, its values with what types find hard, its markup with what
 * parsers do, and now and then its bytes. The same seed and corpus give the same document.
 */
export function mutatedDocument(seed: number, corpus: readonly string[]): Uint8Array {
  const random = randomFrom(seed);
  const tokens = tokensOf(pick(corpus, random));
  for (let left = 1 + random(1 + random(5)); left > 0; left--) pick(MUTATIONS, random)(tokens, random, corpus);
  const bytes = new TextEncoder().encode(tokens.join(''));
  return random(8) === 0 ? pick(BYTE_MUTATIONS, random)(bytes, random) : bytes;
}

/** A whole number from 0 on, below `below`. */
type Random = (below: number) => number;
type Mutation = (tokens: string[], random: Random, corpus: readonly string[]) => void;

/** Mulberry32. */
function randomFrom(seed: number): Random {
  let state = Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

function pick<T>(values: readonly T[], random: Random): T {
  return values[random(values.length)];
}

/** Tags, comments and the text between them. */
function tokensOf(text: string): string[] {
  return text.match(/<!--[\s\S]*?-->|<[^>]*>|[^<]+/g) ?? [];
}

/** Start and end of a random element in the tokens, its tags included; nothing where there are no elements. */
function subtree(tokens: readonly string[], random: Random): [start: number, end: number] {
  const starts = tokens.flatMap((token, at) => (/^<[A-Za-z]/.test(token) ? [at] : []));
  if (starts.length === 0) return [0, 0];
  const start = pick(starts, random);
  let depth = 0;
  for (let at = start; at < tokens.length; at++) {
    if (/^<[A-Za-z]/.test(tokens[at]) && !tokens[at].endsWith('/>')) depth++;
    if (tokens[at].startsWith('</')) depth--;
    if (depth <= 0) return [start, at + 1];
  }
  return [start, tokens.length];
}

/** Puts something else in the place of a random text between tags. */
function replaceText(tokens: string[], random: Random, by: (found: string) => string): void {
  const places = tokens.flatMap((token, at) => (token[0] !== '<' && token.trim() !== '' ? [at] : []));
  if (places.length === 0) return;
  const at = pick(places, random);
  tokens[at] = by(tokens[at]);
}

/** Puts something else in the place of a match in a random tag that has one. */
function replaceIn(tokens: string[], random: Random, pattern: RegExp, by: (found: string) => string): void {
  const places = tokens.flatMap((token, at) => (token[0] === '<' && pattern.test(token) ? [at] : []));
  if (places.length === 0) return;
  const at = pick(places, random);
  tokens[at] = tokens[at].replace(pattern, by);
}

const DSIG = 'http://www.w3.org/2000/09/xmldsig#';
const VALUES = [
  ...[
    '',
    ' ',
    '0',
    '-0',
    '-1',
    '1',
    '9',
    '10',
    '1e3',
    '+5',
    '5.4',
    '5.3',
    'NaN',
    '18446744073709551616',
    '9'.repeat(400),
  ],
  ...['2014-12-31T24:00:00Z', '2014-12-31T24:00:01Z', '0000-01-01T00:00:00Z', '9999-12-31T23:59:59.999999999999+14:00'],
  ...[
    '2016-02-30',
    '00:00:00',
    '24:00:00',
    'Daily',
    '4.6.1',
    '4.17',
    '4.8',
    '8.2',
    'true',
    '-400',
    '-401',
    'ZGVm',
    'Z',
  ],
  ...['90-B3-D5-1F-30-00-00-02', '90-B3-D5-1F-30-00-00-02:00-DB-12-34-56-78-90-A0:1', '__proto__', 'constructor'],
  ...['é', '\u{1F600}', '\ufeff', '\u00a0', 'x'.repeat(5_000), 'A'.repeat(86).concat('=='), `${'A'.repeat(43)}=`],
];
const NAMES = [
  ...[
    'sr:Request',
    'sr:Header',
    'sr:Body',
    'sr:RequestID',
    'sr:CommandVariant',
    'sr:ServiceReference',
    'sr:ReadSchedule',
  ],
  ...[
    'sr:ExecutionDateTime',
    'sr:DeviceID',
    'sr:KAPublicSecurityCredentials',
    'ds:Signature',
    'ds:SignedInfo',
    'x',
    'x:y',
  ],
  ...[
    'ds:Reference',
    'ds:Transform',
    'ds:Object',
    'ds:KeyValue',
    'sr:',
    ':x',
    'xmlns',
    'xml:lang',
    'constructor',
    'é',
    '1',
  ],
];
const ATTRIBUTES = [
  ...[
    'a="1"',
    "a='1'",
    'a="1" a="2"',
    'xsi:nil="true"',
    'xmlns=""',
    'xmlns="urn:x"',
    'xmlns:sr="urn:x"',
    'xmlns:sr=""',
  ],
  ...[
    `xmlns:ds="${DSIG}"`,
    'xmlns:xml="urn:x"',
    'xmlns:xmlns="urn:x"',
    'Id="a"',
    'URI="#a"',
    'URI=""',
    'a',
    'a=b',
    'a="<"',
  ],
  ...[
    'Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"',
    'Algorithm="http://www.w3.org/2000/09/xmldsig#sha1"',
    'a="&x;"',
  ],
  ...['xml:space="preserve"', '__proto__="1"', 'schemaVersion="5.3"', 'xml:id="&#10;"', 'a="\t\r\n"'],
];
const MARKUP = [
  ...[
    '<!---->',
    '<!-- -- -->',
    '<!--',
    '-->',
    '<?pi?>',
    '<?pi x?>',
    '<?xml version="1.0"?>',
    '<?xml version="1.1"?>',
    '<?',
  ],
  ...[
    '<![CDATA[x]]>',
    '<![CDATA[]]>',
    '<![CDATA[',
    ']]>',
    '<',
    '>',
    '&',
    '&amp;',
    '&amp',
    '&#0;',
    '&#x110000;',
    '&#xD800;',
  ],
  ...[
    '&x;',
    '&#13;',
    '<!DOCTYPE x>',
    '<!DOCTYPE x [<!ENTITY x "y">]>',
    '<!DOCTYPE x SYSTEM "file:///x">',
    '<!ENTITY x "y">',
  ],
  ...[
    '\r',
    '\u0000',
    '\u0001',
    '\ufffe',
    '\u0085',
    '\u2028',
    '</',
    '</x>',
    '<x',
    '<x/>',
    '"',
    "'",
    '<sr:x xmlns:sr="">',
  ],
  ...[
    '<a>'.repeat(40),
    '<a/>'.repeat(2_500),
    'x'.repeat(70_000),
    ' '.repeat(10_000),
    '&lt;'.repeat(3_000),
    '<!-- -->'.repeat(500),
  ],
];

const MUTATIONS: readonly Mutation[] = [
  (tokens, random) => {
    const [start, end] = subtree(tokens, random);
    tokens.splice(start, end - start);
  },
  (tokens, random) => {
    const [start, end] = subtree(tokens, random);
    tokens.splice(random(2) === 0 ? end : random(tokens.length), 0, ...tokens.slice(start, end));
  },
  (tokens, random) => {
    const [start, end] = subtree(tokens, random);
    const moved = tokens.splice(start, end - start);
    tokens.splice(random(tokens.length + 1), 0, ...moved);
  },
  (tokens, random) => {
    const [start, end] = subtree(tokens, random);
    const name = pick(NAMES, random);
    tokens.splice(end, 0, `</${name}>`);
    tokens.splice(start, 0, `<${name}>`);
  },
  (tokens, random, corpus) => {
    const other = tokensOf(pick(corpus, random));
    const [start, end] = subtree(other, random);
    const [from, to] = subtree(tokens, random);
    tokens.splice(from, random(2) === 0 ? to - from : 0, ...other.slice(start, end));
  },
  (tokens, random) => {
    const [start, end] = subtree(tokens, random);
    if (end === 0) return;
    const name = pick(NAMES, random);
    tokens[start] = tokens[start].replace(/^<[^\s/>]+/, () => `<${name}`);
    if (end - start > 1) tokens[end - 1] = `</${name}>`;
  },
  (tokens, random) => replaceText(tokens, random, () => pick(VALUES, random)),
  (tokens, random) => replaceText(tokens, random, (text) => text + pick([...VALUES, ...MARKUP], random)),
  (tokens, random) => replaceIn(tokens, random, /="[^"]*"/, () => `="${pick(VALUES, random)}"`),
  (tokens, random) => replaceIn(tokens, random, /\s[\w:]+="[^"]*"/, () => ''),
  (tokens, random) => replaceIn(tokens, random, /(?=\/?>$)/, () => ` ${pick(ATTRIBUTES, random)}`),
  (tokens, random) =>
    replaceIn(tokens, random, /[\w#-]+(?="\/>)/, () => pick(['#sha1', '#WithComments', '#', ''], random)),
  (tokens, random) => {
    tokens.splice(random(tokens.length + 1), 0, pick(MARKUP, random));
  },
  (tokens, random) => {
    tokens.splice(random(tokens.length + 1), 1 + random(3));
  },
];

type ByteMutation = (bytes: Uint8Array, random: Random) => Uint8Array;
const INVALID_UTF8 = [
  [0xc3, 0x28],
  [0xff],
  [0xed, 0xa0, 0x80],
  [0xf8, 0x88, 0x80, 0x80, 0x80],
  [0xc0, 0xaf],
  [0x80],
  [0],
];
const BYTE_MUTATIONS: readonly ByteMutation[] = [
  (bytes, random) => bytes.slice(0, random(bytes.length + 1)),
  (bytes, random) => bytes.map((byte) => (random(200) === 0 ? random(256) : byte)),
  (bytes, random) => {
    const at = random(bytes.length + 1);
    return Uint8Array.from([...bytes.slice(0, at), ...pick(INVALID_UTF8, random), ...bytes.slice(at)]);
  },
  (bytes) => Uint8Array.from([0xef, 0xbb, 0xbf, ...bytes]),
  (bytes) => new Uint8Array(Buffer.from(`\ufeff${Buffer.from(bytes).toString()}`, 'utf16le')),
];
