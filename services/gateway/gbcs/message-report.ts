import { formatInstant } from '#core/settlement-day.ts';
import { type DataRow, dataRows, type Reading, type Readings, type ReadVariant } from '../answer.ts';
import type { CommandBody } from './command.ts';
import type { GbcsMessage } from './message.ts';

/** One line of `mdr decode --json`. Counters are decimal digits: JSON's numbers are too small for some. */
export type MessageRow = {
  file: string;
  kind: GbcsMessage['kind'];
  useCase: string;
  srv: ReadVariant;
  device: string;
  /** Who asked; where the meter does not know it, what stands between says `counter`, and its own request this. */
  party: string;
  partyCounter: string;
  /** Of the message. */
  counter: string;
  /** Of a response that is encrypted to a party that the meter does not know. */
  deviceCounter?: string;
  time?: string;
  /** Of a response: false where the meter reports a fault. */
  dataSuccess?: boolean;
  data?: DataRow[];
  /** Of a command that reads a log; both ends inclusive. */
  window?: { start: string; end: string };
};

export function messageRow(file: string, message: GbcsMessage): MessageRow {
  const { kind, useCase, envelope } = message;
  const { device, party, partyCounter } = partiesOf(message);
  const deviceCounter = envelope.unknownParty?.deviceCounter;
  return {
    file,
    kind,
    useCase: useCase.name,
    srv: useCase.srv,
    device,
    party,
    partyCounter: String(partyCounter),
    counter: String(envelope.counter),
    ...(deviceCounter === undefined ? {} : { deviceCounter: String(deviceCounter) }),
    ...(envelope.timeMs === undefined ? {} : { time: formatInstant(envelope.timeMs) }),
    ...(message.kind === 'response'
      ? { dataSuccess: message.readings.success, data: dataRows(message.readings) }
      : windowOf(message.command)),
  };
}

/** The message for people: what it is, of whom, and its readings as a table. */
export function messageText(message: GbcsMessage): string {
  const { kind, useCase, envelope } = message;
  const { device, party, partyCounter } = partiesOf(message);
  const between = kind === 'response' ? `of device ${device} to ${party}` : `of ${party} to device ${device}`;
  const broker = envelope.unknownParty === undefined ? '' : `, by the access control broker (${envelope.counter})`;
  const head = `${useCase.name} ${kind}, service ${useCase.srv}, ${between}
request counter ${partyCounter}${broker}; the MAC is right`;
  if (message.kind === 'command') return `${head}\n${commandText(message.command)}`;
  const { success, rows } = message.readings;
  const isEncrypted = success && useCase.protection !== undefined;
  const count = `${rows.length} ${rows.length === 1 ? 'row' : 'rows'}`;
  const found = success ? count : `${count}, and the meter reports a fault`;
  return `${head}${isEncrypted ? ', decrypted' : ''}\n${found}\n${rows.length === 0 ? '' : `\n${table(message.readings)}`}`;
}

function partiesOf({ kind, envelope }: GbcsMessage): { device: string; party: string; partyCounter: bigint } {
  const [device, other] =
    kind === 'response' ? [envelope.originator, envelope.recipient] : [envelope.recipient, envelope.originator];
  const { eui, counter } = envelope.unknownParty ?? { eui: other, counter: envelope.counter };
  return { device, party: eui, partyCounter: counter };
}

function windowOf({ startMs, endMs }: CommandBody): Pick<MessageRow, 'window'> {
  if (startMs === undefined || endMs === undefined) return {};
  return { window: { start: formatInstant(startMs), end: formatInstant(endMs) } };
}

function commandText(command: CommandBody): string {
  const { window } = windowOf(command);
  return window === undefined
    ? 'reads registers as they stand\n'
    : `reads ${window.start} to ${window.end}, both included\n`;
}

const TITLES: Readonly<Record<ReadVariant, string>> = {
  '4.1.1': 'import register Wh',
  '4.2': 'export register Wh',
  '4.6.1': 'import register Wh',
  '4.6.2': 'export register Wh',
  '4.8.1': 'import Wh',
  '4.8.3': 'export Wh',
  '4.17': 'import Wh',
};

type TableColumn = { title: string; energyOf(reading: Reading): number | undefined };

/** Registers of the tariff that are 0 in every row are left out: a meter has 48, and a tariff uses a few. */
function table({ srv, rows }: Readings): string {
  const first = rows[0];
  const columns: TableColumn[] = [
    { title: TITLES[srv], energyOf: ({ activeWh }) => activeWh },
    { title: 'reactive varh', energyOf: ({ reactiveVarh }) => reactiveVarh },
    { title: 'second element Wh', energyOf: ({ secondaryWh }) => secondaryWh },
    ...registers(first.touWh, 'TOU', ({ touWh }) => touWh),
    ...registers(first.secondaryTouWh, 'second TOU', ({ secondaryTouWh }) => secondaryTouWh),
    ...(first.blockWh ?? []).flatMap((block, k) =>
      registers(block, `block ${k + 1} TOU`, ({ blockWh }) => blockWh?.[k]),
    ),
  ];
  const isTariff = ({ title }: TableColumn) => title.includes('TOU');
  const shown = columns.filter((column) => {
    const values = rows.map(column.energyOf);
    return values.some((value) => (isTariff(column) ? value !== undefined && value !== 0 : value !== undefined));
  });
  const lines = [
    ['time', ...shown.map(({ title }) => title)],
    ...rows.map((row) => [formatInstant(row.timeMs), ...shown.map((column) => String(column.energyOf(row) ?? ''))]),
  ];
  const widths = lines[0].map((_, k) => Math.max(...lines.map((line) => line[k].length)));
  return lines.map((line) => `${line.map((cell, k) => cell.padStart(widths[k])).join('  ')}\n`).join('');
}

function registers(
  first: readonly number[] | undefined,
  title: string,
  of: (reading: Reading) => readonly number[] | undefined,
): TableColumn[] {
  return (first ?? []).map((_, k) => ({ title: `${title} ${k + 1} Wh`, energyOf: (reading) => of(reading)?.[k] }));
}
