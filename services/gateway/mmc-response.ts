import type { RequestId } from '#core/identifiers.ts';
import { formatInstant } from '#core/settlement-day.ts';
import type { Reading, Readings } from './answer.ts';
import { DUIS_VERSION, serviceReferenceOf } from './duis-request.ts';
import { element, type XmlNode } from './xml-writer.ts';

/**
 * A meter's answer in the MMC format (MMC_Schema_V5.4.xsd), which is what Parse and Correlate software makes of a
 * GBCS payload, and what the DCC itself sends for SMETS1.
 */
export const MMC_NAMESPACE = 'http://www.dccinterface.co.uk/ResponseAndAlert';

/** MMC `GBCSResponse`: the whole document for a SMETS2 meter. */
export function gbcsResponse(requestId: RequestId, readings: Readings): XmlNode {
  return element('ra:GBCSResponse', headerAndBody('ra', requestId, readings), {
    'xmlns:ra': MMC_NAMESPACE,
    schemaVersion: DUIS_VERSION,
  });
}

/** `Header` and `Body` of a response, their own names in the namespace of `prefix`. */
export function headerAndBody(prefix: string, requestId: RequestId, readings: Readings): XmlNode[] {
  return [
    element(`${prefix}:Header`, header(requestId, readings)),
    element(`${prefix}:Body`, [
      element(`${prefix}:ResponseMessage`, [element('ra:SMETSData', [serviceResponse(readings)])]),
    ]),
  ];
}

/** MMC `HeaderType`. The counter is the request's; the broker's own, for a party the meter does not know, is not made. */
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
            ...timeOfUse(row),
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
          element('ra:Electricity', [element('ra:PrimaryValue', String(row.activeWh))]),
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

function registers(direction: 'Import' | 'Export', { activeWh, reactiveVarh }: Reading): XmlNode[] {
  const register = (kind: string, value: number, unit: string) =>
    element(`ra:${kind}${direction}Register`, [
      element('ra:Value', String(value)),
      element(`ra:${kind}EnergyUnit`, unit),
    ]);
  return [
    register('Active', activeWh, 'Wh'),
    ...(reactiveVarh === undefined ? [] : [register('Reactive', reactiveVarh, 'varh')]),
  ];
}

function reactive(name: string, { reactiveVarh }: Reading): XmlNode[] {
  return reactiveVarh === undefined ? [] : [element(name, String(reactiveVarh))];
}

function timeOfUse({ touWh }: Reading): XmlNode[] {
  return (touWh ?? []).map((wh, at) =>
    element('ra:TariffTOURegisterMatrixValue', String(wh), { index: String(at + 1) }),
  );
}
