import type { RequestId } from '#core/identifiers.ts';
import { formatInstant } from '#core/settlement-day.ts';
import type { Reading, Readings } from './answer.ts';
import { DUIS_VERSION, serviceReferenceOf } from './duis-request.ts';
import type { GbcsMessage } from './gbcs/message.ts';
import { element, type XmlNode } from './xml-writer.ts';

/**
 * A meter's answer in the MMC format (MMC_Schema_V5.4.xsd), which is what Parse and Correlate software makes of a
 * GBCS payload, and what the DCC itself sends for SMETS1.
 */
export const MMC_NAMESPACE = 'http://www.dccinterface.co.uk/ResponseAndAlert';

/** MMC `GBCSResponse`: the whole document for a SMETS2 meter. */
export function gbcsResponse(message: Extract<GbcsMessage, { kind: 'response' }>): XmlNode {
  return element('ra:GBCSResponse', [element('ra:Header', messageHeader(message)), body('ra', message.readings)], {
    'xmlns:ra': MMC_NAMESPACE,
    schemaVersion: DUIS_VERSION,
  });
}

/** `Header` and `Body` of a SMETS1 response, their own names in the namespace of `prefix`. */
export function headerAndBody(prefix: string, requestId: RequestId, readings: Readings): XmlNode[] {
  return [element(`${prefix}:Header`, header(requestId, readings)), body(prefix, readings)];
}

function body(prefix: string, readings: Readings): XmlNode {
  return element(`${prefix}:Body`, [
    element(`${prefix}:ResponseMessage`, [element('ra:SMETSData', [serviceResponse(readings)])]),
  ]);
}

/** MMC `HeaderType` of what the message itself says. */
function messageHeader({ envelope, useCase }: GbcsMessage): XmlNode[] {
  const { originator, recipient, counter, unknownParty, timeMs } = envelope;
  const optional = (name: string, value: string | bigint | undefined) =>
    value === undefined ? [] : [element(`ra:${name}`, String(value))];
  return [
    element('ra:BusinessOriginatorID', originator),
    element('ra:BusinessTargetID', recipient),
    element('ra:OriginatorCounter', String(counter)),
    ...optional('SupplementaryRemotePartyID', unknownParty?.eui),
    ...optional('SupplementaryRemotePartyCounter', unknownParty?.counter),
    ...optional('SupplementaryOriginatorCounter', unknownParty?.deviceCounter),
    element('ra:GBCSHexadecimalMessageCode', useCase.code.toString(16).padStart(4, '0').toUpperCase()),
    element('ra:ServiceReference', serviceReferenceOf(useCase.srv)),
    element('ra:ServiceReferenceVariant', useCase.srv),
    ...optional('Timestamp', timeMs === undefined ? undefined : formatInstant(timeMs)),
  ];
}

/** MMC `HeaderType` of an answer to a request: the counter is the request's. */
function header({ originator, target, counter }: RequestId, { srv, rows }: Readings): XmlNode[] {
  const isSnapshot = srv === '4.1.1' || srv === '4.2';
  return [
    element('ra:BusinessOriginatorID', target),
    element('ra:BusinessTargetID', originator),
    element('ra:OriginatorCounter', String(counter)),
    element('ra:ServiceReference', serviceReferenceOf(srv)),
    element('ra:ServiceReferenceVariant', srv),
    ...(isSnapshot ? rows.map(({ timeMs }) => element('ra:Timestamp', formatInstant(timeMs))) : []),
  ];
}

/** The `...Rsp` of the service, as the choice in MMC `ResponsePayload` has it. */
function serviceResponse({ srv, success, rows }: Readings): XmlNode {
  const response = (name: string, content: readonly XmlNode[]) =>
    element(`ra:${name}Rsp`, content, { MessageSuccess: String(success) });
  const entries = (fields: (row: Reading) => XmlNode[]) => rows.map((row) => element('ra:LogEntry', fields(row)));
  const time = (name: string, { timeMs }: Reading) => element(name, formatInstant(timeMs));
  switch (srv) {
    case '4.1.1':
      return response('ReadInstantaneousImportRegisters', [
        element(
          'ra:Electricity',
          rows.flatMap((row) => registers('Import', row)),
        ),
      ]);
    case '4.2':
      return response(
        'ReadInstantaneousExportRegisters',
        rows.flatMap((row) => registers('Export', row)),
      );
    case '4.6.1':
      return response(
        'RetrieveImportDailyReadLog',
        entries((row) => [
          time('ra:Timestamp', row),
          element('ra:Electricity', [
            element('ra:ElecActiveImportRegisterConsumption', String(row.activeWh)),
            ...second('ra:SecondaryActiveImportRegisterConsumption', row),
            ...tariff(row),
          ]),
        ]),
      );
    case '4.6.2':
      return response(
        'RetrieveExportDailyReadLog',
        entries((row) => [element('ra:ActiveExportRegisterValue', String(row.activeWh)), time('ra:TimeStamp', row)]),
      );
    case '4.8.1':
      return response(
        'ReadActiveImportProfileData',
        entries((row) => [
          time('ra:Timestamp', row),
          element('ra:Electricity', [
            element('ra:PrimaryValue', String(row.activeWh)),
            ...second('ra:SecondaryValue', row),
          ]),
        ]),
      );
    case '4.8.3':
      return response(
        'ReadExportProfileData',
        entries((row) => [
          element('ra:ActiveEnergyExportedValue', String(row.activeWh)),
          ...reactive('ra:ReactiveEnergyExportedValue', row),
          time('ra:Timestamp', row),
        ]),
      );
    case '4.17':
      return response('RetrieveDailyConsumptionLog', [
        element(
          'ra:Electricity',
          entries((row) => [element('ra:Value', String(row.activeWh)), time('ra:Timestamp', row)]),
        ),
      ]);
  }
}

function registers(direction: 'Import' | 'Export', { activeWh, reactiveVarh, secondaryWh }: Reading): XmlNode[] {
  const register = (kind: 'Active' | 'Reactive', value: number | undefined, prefix = '') =>
    value === undefined
      ? []
      : [
          element(`ra:${prefix}${kind}${direction}Register`, [
            element('ra:Value', String(value)),
            element(`ra:${kind}EnergyUnit`, kind === 'Active' ? 'Wh' : 'varh'),
          ]),
        ];
  return [
    ...register('Active', activeWh),
    ...register('Reactive', reactiveVarh),
    ...register('Active', secondaryWh, 'Secondary'),
  ];
}

function reactive(name: string, { reactiveVarh }: Reading): XmlNode[] {
  return reactiveVarh === undefined ? [] : [element(name, String(reactiveVarh))];
}

function second(name: string, { secondaryWh }: Reading): XmlNode[] {
  return secondaryWh === undefined ? [] : [element(name, String(secondaryWh))];
}

function tariff({ touWh, secondaryTouWh, blockWh }: Reading): XmlNode[] {
  const matrix = (name: string, values: readonly number[] | undefined) =>
    (values ?? []).map((wh, at) => element(`ra:${name}RegisterMatrixValue`, String(wh), { index: String(at + 1) }));
  return [
    ...matrix('SecondaryTariffTOU', secondaryTouWh),
    ...matrix('TariffTOU', touWh),
    ...(blockWh ?? []).flatMap((values, at) => matrix(`TariffTOUBlock${at + 1}`, values)),
  ];
}
