import { SaxesParser, type SaxesTagNS } from 'saxes';
import { MdrError } from '#core/errors.ts';

/**
 * What one document may cost. A real Service Request is 2 KB, 5 levels deep and some 25 elements; a certificate in one
 * is 2 KB of text. The limits leave room for that and bound what a hostile document can make us hold or do.
 */
export const XML_LIMITS = {
  bytesMax: 1_048_576,
  depthMax: 32,
  elementsMax: 2_000,
  attributesPerElementMax: 32,
  textCharactersMax: 65_536,
} as const;

/** An element with its namespace resolved. `text` is its own character data, without that of its children. */
export type XmlElement = {
  uri: string;
  local: string;
  /** As written, prefix included. */
  name: string;
  /** 1-based. */
  line: number;
  attributes: readonly XmlAttribute[];
  children: XmlElement[];
  text: string;
};
/** The element that a document must begin with; another is refused before more of the document is read. */
export type RootName = { uri: string; local: string };
export type XmlAttribute = { uri: string; local: string; name: string; value: string };

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
export async function readXml(file: string, root: RootName, chunks: AsyncIterable<Uint8Array>): Promise<XmlElement> {
  const reader = openReader(file, root);
  for await (const chunk of chunks) {
    reader.write(chunk);
  }
  return reader.end();
}

/** {@link readXml} of a document that is in memory already. */
export function readXmlBytes(file: string, root: RootName, bytes: Uint8Array): XmlElement {
  const reader = openReader(file, root);
  reader.write(bytes);
  return reader.end();
}

function openReader(file: string, rootName: RootName): { write(chunk: Uint8Array): void; end(): XmlElement } {
  const parser = new SaxesParser({ xmlns: true, position: false });
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const refuse = (expected: string, value?: string) => refuseXml(file, parser.line, expected, value);
  const root = collectElements(parser, rootName, refuse);
  let bytes = 0;

  const decode = (chunk?: Uint8Array): string => {
    try {
      return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
    } catch {
      throw refuse('UTF-8 text, found bytes that are not');
    }
  };
  return {
    write(chunk) {
      bytes += chunk.length;
      if (bytes > XML_LIMITS.bytesMax) {
        throw refuse(`a document of at most ${XML_LIMITS.bytesMax} bytes`);
      }
      parser.write(decode(chunk));
    },
    end() {
      if (bytes === 0) {
        throw refuse('a DUIS Request, found an empty document');
      }
      parser.write(decode());
      parser.close();
      return root();
    },
  };
}

/** Wires the parser's events to an element tree; returns how to take the root once the document has ended. */
function collectElements(
  parser: SaxesParser<{ xmlns: true; position: false }>,
  rootName: RootName,
  refuse: (expected: string, value?: string) => MdrError,
): () => XmlElement {
  const open: XmlElement[] = [];
  let root: XmlElement | undefined;
  let elements = 0;
  let depth = 0;
  let attributes = 0;
  let line = 1;

  parser.on('error', (error) => {
    throw refuse(`well-formed XML (${error.message})`);
  });
  parser.on('xmldecl', ({ version, encoding }) => {
    if (version !== undefined && version !== '1.0') {
      throw refuse('XML version 1.0', version);
    }
    if (encoding !== undefined && encoding.toUpperCase() !== 'UTF-8') {
      throw refuse('the encoding UTF-8', encoding);
    }
  });
  parser.on('doctype', () => {
    throw refuse('no DOCTYPE: DTDs and the entities that they declare are refused');
  });
  parser.on('opentagstart', () => {
    line = parser.line;
    attributes = 0;
    elements++;
    depth++;
    if (depth > XML_LIMITS.depthMax) {
      throw refuse(`elements nested at most ${XML_LIMITS.depthMax} deep`);
    }
    if (elements > XML_LIMITS.elementsMax) {
      throw refuse(`at most ${XML_LIMITS.elementsMax} elements`);
    }
  });
  parser.on('attribute', () => {
    attributes++;
    if (attributes > XML_LIMITS.attributesPerElementMax) {
      throw refuse(`at most ${XML_LIMITS.attributesPerElementMax} attributes on an element`);
    }
  });
  parser.on('opentag', (tag) => {
    const element = elementOf(tag, line);
    if (root === undefined) {
      refuseOtherRoot(element);
      root = element;
    }
    open.at(-1)?.children.push(element);
    open.push(element);
  });
  parser.on('closetag', () => {
    open.pop();
    depth--;
  });
  const refuseOtherRoot = ({ uri, local }: XmlElement) => {
    if (uri !== rootName.uri || local !== rootName.local) {
      throw refuse(`a ${rootName.local} of namespace ${rootName.uri}`, `{${uri}}${local}`);
    }
  };
  const addText = (text: string) => {
    const element = open.at(-1);
    if (element === undefined) {
      return;
    }
    element.text += text;
    if (element.text.length > XML_LIMITS.textCharactersMax) {
      throw refuse(`at most ${XML_LIMITS.textCharactersMax} characters of text in an element`);
    }
  };
  parser.on('text', addText);
  parser.on('cdata', addText);
  return () => {
    if (root === undefined) {
      throw refuse('a DUIS Request, found no element');
    }
    return root;
  };
}

function elementOf(tag: SaxesTagNS, line: number): XmlElement {
  const attributes = Object.values(tag.attributes).filter((attribute) => attribute.uri !== XMLNS);
  return { uri: tag.uri, local: tag.local, name: tag.name, line, attributes, children: [], text: '' };
}

const XMLNS = 'http://www.w3.org/2000/xmlns/';
