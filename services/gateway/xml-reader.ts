import { SaxesParser, type SaxesTagNS } from 'saxes';
import { MdrError } from '#core/errors.ts';

/** What one document may cost. */
export type XmlLimits = {
  bytesMax: number;
  depthMax: number;
  elementsMax: number;
  /** Namespace declarations count as attributes. */
  attributesPerElementMax: number;
  textCharactersMax: number;
};

/**
 * The limits of a document from outside. A real Service Request is 2 KB, 5 levels deep and some 25 elements; a
 * certificate in one is 2 KB of text. They leave room for that and bound what a hostile document can make us hold or
 * do: the slowest of this size (one element of attributes only) takes some ten milliseconds to refuse.
 */
export const XML_LIMITS: XmlLimits = {
  bytesMax: 131_072,
  depthMax: 32,
  elementsMax: 2_000,
  attributesPerElementMax: 32,
  textCharactersMax: 65_536,
};

/** A document as it was written but for comments: white space and processing instructions are kept. */
export type XmlDocument = { root: XmlElement; before: readonly XmlInstruction[]; after: readonly XmlInstruction[] };

/** An element with its namespace resolved. */
export type XmlElement = {
  uri: string;
  /** Empty where there is none. */
  prefix: string;
  local: string;
  /** As written, prefix included. */
  name: string;
  /** 1-based: where its start tag ends. */
  line: number;
  /** Without namespace declarations. */
  attributes: readonly XmlAttribute[];
  /** The namespaces that it declares, by prefix; the empty one is the default namespace. */
  namespaces: Readonly<Record<string, string>>;
  children: XmlElement[];
  /** Its own character data, without that of its children. */
  text: string;
  /** Children, character data and instructions in the order of the document. */
  content: (XmlElement | XmlInstruction | string)[];
};
/** The element that a document must begin with; another is refused before more of the document is read. */
export type RootName = { uri: string; local: string };
export type XmlAttribute = { uri: string; prefix: string; local: string; name: string; value: string };
export type XmlInstruction = { target: string; data: string };

/** Refuses a document at one of its lines. */
export function refuseXml(file: string, line: number, expected: string, value?: string): MdrError {
  const fault = value === undefined ? { file, line, expected } : { file, line, value, expected };
  return new MdrError('XML_REFUSED', `${file} is not a Service Request that can be answered`, [fault]);
}

/**
 * Reads one XML document in a single pass over its bytes, holding no more of it than XML_LIMITS allow and taking no
 * chunk after the one that breaks them. DTDs are refused outright, so no entity but XML's own five is ever expanded.
 * Throws XML_REFUSED naming file, line and what was expected.
 */
export async function readXml(file: string, root: RootName, chunks: AsyncIterable<Uint8Array>): Promise<XmlDocument> {
  const reader = openReader(file, root, XML_LIMITS);
  for await (const chunk of chunks) {
    reader.write(chunk);
  }
  return reader.end();
}

/** {@link readXml} of a document that is in memory already; of any root where none is named. */
export function readXmlBytes(
  file: string,
  root: RootName | undefined,
  bytes: Uint8Array,
  limits = XML_LIMITS,
): XmlDocument {
  const reader = openReader(file, root, limits);
  reader.write(bytes);
  return reader.end();
}

type Refuse = (expected: string, value?: string) => MdrError;
type Reader = { write(chunk: Uint8Array): void; end(): XmlDocument };

function openReader(file: string, rootName: RootName | undefined, limits: XmlLimits): Reader {
  const parser = new SaxesParser({ xmlns: true, position: false });
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const refuse = (expected: string, value?: string) => refuseXml(file, parser.line, expected, value);
  const document = collectDocument(parser, rootName, limits, refuse);
  let bytes = 0;

  const decode = (chunk?: Uint8Array): string => {
    try {
      return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
    } catch {
      throw refuse('UTF-8 text, found bytes that are not');
    }
  };
  const parse = (step: () => void): void => {
    try {
      step();
    } catch (error) {
      // Saxes throws plain Errors for what is not well-formed; any other is ours.
      if (!(error instanceof Error) || Object.getPrototypeOf(error) !== Error.prototype) throw error;
      throw refuse(`well-formed XML (${error.message})`);
    }
  };
  return {
    write(chunk) {
      bytes += chunk.length;
      if (bytes > limits.bytesMax) {
        throw refuse(`a document of at most ${limits.bytesMax} bytes`);
      }
      const text = decode(chunk);
      parse(() => parser.write(text));
    },
    end() {
      if (bytes === 0) {
        throw refuse('a DUIS Request, found an empty document');
      }
      const text = decode();
      parse(() => parser.write(text).close());
      return document();
    },
  };
}

type Parser = SaxesParser<{ xmlns: true; position: false }>;

/**
 * Wires the parser's events to a tree; returns how to take the document once it has ended. No more than these six
 * events: V8 makes a dictionary of a parser with a seventh handler, which then reads at a third of the speed.
 */
function collectDocument(
  parser: Parser,
  rootName: RootName | undefined,
  limits: XmlLimits,
  refuse: Refuse,
): () => XmlDocument {
  const open: XmlElement[] = [];
  const before: XmlInstruction[] = [];
  const after: XmlInstruction[] = [];
  let root: XmlElement | undefined;
  let elements = 0;

  parser.on('doctype', () => {
    throw refuse('no DOCTYPE: DTDs and the entities that they declare are refused');
  });
  parser.on('opentag', (tag) => {
    const element = elementOf(tag, parser.line, limits, refuse);
    elements++;
    if (root === undefined) {
      checkProlog(parser, refuse);
      checkRoot(element, rootName, refuse);
      root = element;
    }
    if (open.length === limits.depthMax) {
      throw refuse(`elements nested at most ${limits.depthMax} deep`);
    }
    if (elements > limits.elementsMax) {
      throw refuse(`at most ${limits.elementsMax} elements`);
    }
    const parent = open.at(-1);
    parent?.children.push(element);
    parent?.content.push(element);
    open.push(element);
  });
  parser.on('closetag', () => {
    open.pop();
  });
  parser.on('processinginstruction', ({ target, body }) => {
    const around = root === undefined ? before : after;
    (open.at(-1)?.content ?? around).push({ target, data: body });
  });
  const addText = (text: string) => {
    const element = open.at(-1);
    if (element === undefined) {
      return;
    }
    element.text += text;
    element.content.push(text);
    if (element.text.length > limits.textCharactersMax) {
      throw refuse(`at most ${limits.textCharactersMax} characters of text in an element`);
    }
  };
  parser.on('text', addText);
  parser.on('cdata', addText);
  return () => {
    if (root === undefined) {
      throw refuse('a DUIS Request, found no element');
    }
    return { root, before, after };
  };
}

function checkProlog({ xmlDecl: { version, encoding } }: Parser, refuse: Refuse): void {
  if (version !== undefined && version !== '1.0') {
    throw refuse('XML version 1.0', version);
  }
  if (encoding !== undefined && encoding.toUpperCase() !== 'UTF-8') {
    throw refuse('the encoding UTF-8', encoding);
  }
}

function checkRoot({ uri, local }: XmlElement, expected: RootName | undefined, refuse: Refuse): void {
  if (expected === undefined) return;
  if (uri !== expected.uri || local !== expected.local) {
    throw refuse(`a ${expected.local} of namespace ${expected.uri}`, `{${uri}}${local}`);
  }
}

function elementOf(tag: SaxesTagNS, line: number, limits: XmlLimits, refuse: Refuse): XmlElement {
  const all = Object.values(tag.attributes);
  if (all.length > limits.attributesPerElementMax) {
    throw refuse(`at most ${limits.attributesPerElementMax} attributes on an element`);
  }
  const attributes = all.filter((attribute) => attribute.uri !== XMLNS);
  const { uri, prefix, local, name, ns: namespaces } = tag;
  return { uri, prefix, local, name, line, attributes, namespaces, children: [], text: '', content: [] };
}

const XMLNS = 'http://www.w3.org/2000/xmlns/';
