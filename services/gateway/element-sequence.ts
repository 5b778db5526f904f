import type { DuisType } from './duis-types.ts';
import { refuseXml, type XmlElement } from './xml-reader.ts';

export const DUIS_NAMESPACE = 'http://www.dccinterface.co.uk/ServiceUserGateway';
const XSI_NAMESPACE = 'http://www.w3.org/2001/XMLSchema-instance';

/** What a schema says of all its elements: their namespace, and the attributes that some of them may have. */
export type ElementSchema = { uri: string; attributes: Readonly<Record<string, readonly string[]>> };
const DUIS: ElementSchema = { uri: DUIS_NAMESPACE, attributes: {} };

/**
 * The children of one element, taken in the order of an xs:sequence. Each taking checks name, namespace and content,
 * and throws XML_REFUSED at the line of the first that is not what the schema demands.
 */
export type ElementSequence = {
  element(local: string): XmlElement;
  optionalElement(local: string): XmlElement | undefined;
  /** Takes one element of several that may stand here. */
  choice(locals: readonly string[]): XmlElement;
  value<T>(local: string, type: DuisType<T>): T;
  optionalValue<T>(local: string, type: DuisType<T>): T | undefined;
  /** The next child whatever it is, or undefined at the end. */
  peek(): XmlElement | undefined;
  skip(): void;
  /** Refuses what is left over. */
  end(): void;
};

export function sequenceOf(file: string, parent: XmlElement, schema = DUIS): ElementSequence {
  if (/\S/.test(parent.text)) {
    throw refuseXml(file, parent.line, `elements only in ${parent.name}`, parent.text.trim());
  }
  let at = 0;
  const peek = () => parent.children.at(at);
  const isNext = (locals: readonly string[]) => {
    const next = peek();
    return next !== undefined && next.uri === schema.uri && locals.includes(next.local);
  };
  const choice = (locals: readonly string[]): XmlElement => {
    const next = peek();
    if (next === undefined) {
      throw refuseXml(file, parent.line, `${listed(locals)} in ${parent.name}, found its end`);
    }
    if (!isNext(locals)) {
      throw refuseXml(file, next.line, `${listed(locals)} of namespace ${schema.uri}`, qualified(next, schema));
    }
    at++;
    refuseAttributes(file, next, schema.attributes[next.local]);
    return next;
  };
  const optionalElement = (local: string) => (isNext([local]) ? choice([local]) : undefined);
  return {
    peek,
    choice,
    optionalElement,
    element: (local) => choice([local]),
    value: (local, type) => textOf(file, choice([local]), type),
    optionalValue: (local, type) => {
      const element = optionalElement(local);
      return element === undefined ? undefined : textOf(file, element, type);
    },
    skip: () => {
      at++;
    },
    end: () => {
      const next = peek();
      if (next !== undefined) {
        throw refuseXml(file, next.line, `the end of ${parent.name}`, qualified(next, schema));
      }
    },
  };
}

/** The text of an element without children, read as a type of the schema. */
export function textOf<T>(file: string, element: XmlElement, type: DuisType<T>): T {
  if (element.children.length > 0) {
    throw refuseXml(file, element.children[0].line, `text only in ${element.name}`, element.children[0].name);
  }
  const value = type.parse(element.text);
  if (value === undefined) {
    throw refuseXml(file, element.line, `${element.name} to be ${type.expected}`, element.text);
  }
  return value;
}

/** The schema gives its elements no attributes; xsi:type and xsi:nil would change what an element is. */
export function refuseAttributes(file: string, element: XmlElement, allowed: readonly string[] = []): void {
  for (const { uri, local, name, value } of element.attributes) {
    const isLocation = uri === XSI_NAMESPACE && (local === 'schemaLocation' || local === 'noNamespaceSchemaLocation');
    if (!isLocation && !(uri === '' && allowed.includes(local))) {
      throw refuseXml(file, element.line, `no attribute ${name} on ${element.name}`, value);
    }
  }
}

function listed(locals: readonly string[]): string {
  return locals.length === 1 ? locals[0] : `one of ${locals.join(', ')}`;
}

function qualified(element: XmlElement, { uri }: ElementSchema): string {
  return element.uri === uri ? element.name : `{${element.uri}}${element.local}`;
}
