/** Every way in which the product refuses to go on: what it means, the exit code, what the user can do. */
export const ERRORS = {
  INPUT_INVALID: { exitCode: 2, help: 'Correct the values named and run the command again.' },
  INPUT_UNREADABLE: { exitCode: 2, help: 'Check that the file exists and can be read.' },
  USAGE: { exitCode: 2, help: 'Run the command with --help to see what it takes.' },
  XML_REFUSED: { exitCode: 2, help: 'Send a well-formed DUIS Request without DTD, within the limits named.' },
  GBCS_REFUSED: { exitCode: 2, help: 'Give the whole payload as it came, and the keys of its device and its User.' },
  COULD_NOT_RUN: { exitCode: 3, help: 'Mend what the message names on this machine and run the command again.' },
} as const satisfies Record<string, { exitCode: 2 | 3; help: string }>;
export type ErrorCode = keyof typeof ERRORS;

/** One thing wrong with an input: where it stands, what stood there and what was expected. */
export type Fault = {
  file?: string;
  /** 1-based. */
  line?: number;
  /** Where in the document, as `users[2].share`. */
  path?: string;
  value?: unknown;
  expected: string;
};

/** An operating error that the user can mend. A programmer's mistake is an ordinary Error and crashes. */
export class MdrError extends Error {
  readonly code: ErrorCode;
  readonly faults: readonly Fault[];

  constructor(code: ErrorCode, message: string, faults: readonly Fault[] = []) {
    super(message);
    this.name = 'MdrError';
    this.code = code;
    this.faults = faults;
  }

  get exitCode(): number {
    return ERRORS[this.code].exitCode;
  }
}

/** One line a fault: `file:line: path is VALUE, expected ...`. */
export function formatFault(fault: Fault): string {
  const place = fault.file === undefined ? '' : `${fault.file}${fault.line === undefined ? '' : `:${fault.line}`}: `;
  const path = fault.path === undefined || fault.path === '' ? '' : `${fault.path} `;
  const found = fault.value === undefined ? '' : `is ${shorten(JSON.stringify(fault.value))}, `;
  return `${place}${path}${found}expected ${fault.expected}`;
}

const VALUE_CHARACTERS_MAX = 80;

function shorten(text: string): string {
  return text.length <= VALUE_CHARACTERS_MAX ? text : `${text.slice(0, VALUE_CHARACTERS_MAX)}...`;
}
