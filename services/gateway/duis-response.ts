import { formatRequestId, responseIdOf } from '#core/identifiers.ts';
import type { Schedule } from '#core/schedule.ts';
import { formatDay, formatInstant } from '#core/settlement-day.ts';
import type { Answer, Readings } from './answer.ts';
import {
  DUIS_VERSION,
  type DuisRequest,
  SCHEDULED_BODIES,
  type ScheduledVariant,
  serviceReferenceOf,
} from './duis-request.ts';
import { DUIS_NAMESPACE } from './element-sequence.ts';
import { headerAndBody, MMC_NAMESPACE } from './mmc-response.ts';
import type { WorldDevice } from './world.ts';
import type { AssumedCodes } from './world-schema.ts';
import { comment, element, renderXml, type XmlNode } from './xml-writer.ts';

/**
 * The DUIS `Response` to a request, valid against DUIS_Schema_V5.4.xsd. The schema does not ask for a signature and
 * there is none: nothing here holds the DCC's key.
 */
export function duisResponse(request: DuisRequest, answer: Answer, atMs: number, codes: AssumedCodes): string {
  const response = element(
    'sr:Response',
    [
      comment(`${request.file}: ${answer.reason}`),
      element('sr:Header', [
        element('sr:RequestID', formatRequestId(request.requestId)),
        element('sr:ResponseID', formatRequestId(responseIdOf(request.requestId))),
        element('sr:ResponseCode', responseCodeOf(answer)),
        element('sr:ResponseDateTime', formatInstant(atMs)),
      ]),
      element('sr:Body', bodyOf(request, answer, codes)),
    ],
    {
      'xmlns:sr': DUIS_NAMESPACE,
      'xmlns:ra': MMC_NAMESPACE,
      'xmlns:ds': 'http://www.w3.org/2000/09/xmldsig#',
      schemaVersion: DUIS_VERSION,
    },
  );
  return `<?xml version="1.0" encoding="UTF-8"?>\n${renderXml(response)}`;
}

// An alert is itself a success; what it tells stands in its body.
function responseCodeOf({ code, result }: Answer): string {
  return result.kind === 'quarantined' ? 'I0' : code;
}

function bodyOf(request: DuisRequest, { result }: Answer, codes: AssumedCodes): XmlNode[] {
  switch (result.kind) {
    case 'refused':
      return [responseMessage(request)];
    case 'quarantined':
      return [quarantineAlert(request, result.eventRef, codes)];
    case 'readings':
      return readingsBody(request, result.readings);
    case 'schedule-created':
      return [responseMessage(request, element('sr:DSPScheduleID', String(result.id)))];
    case 'schedules':
      return [responseMessage(request, element('sr:DSPSchedulesRead', result.schedules.map(scheduleRead)))];
    case 'schedules-deleted':
      return [responseMessage(request)];
    case 'inventory':
      return [responseMessage(request, element('sr:DSPInventory', [inventoryDevice(result.device)]))];
  }
}

/** DUIS `ResponseMessage`. */
function responseMessage({ srv }: DuisRequest, content?: XmlNode): XmlNode {
  return element('sr:ResponseMessage', [...references(srv), content]);
}

function references(srv: string): XmlNode[] {
  return [element('sr:ServiceReference', serviceReferenceOf(srv)), element('sr:ServiceReferenceVariant', srv)];
}

/** A SMETS1 answer carries its readings in the clear, a SMETS2 answer the meter's message as it is. */
function readingsBody(request: DuisRequest, readings: Readings): XmlNode[] {
  if (readings.gbcsPayload !== undefined) {
    const payload = Buffer.from(readings.gbcsPayload).toString('base64');
    return [responseMessage(request, element('sr:GBCSPayload', payload))];
  }
  const signed = [
    element('sr:SMETS1Response', headerAndBody('sr', request.requestId, readings)),
    comment('Not a signature: the schema demands the element, nothing is signed, its values are empty'),
    NOT_A_SIGNATURE,
  ];
  return [
    element('sr:SMETS1ResponseMessage', [
      ...references(request.srv),
      element('sr:SMETS1SignedResponse', signed, { schemaVersion: DUIS_VERSION }),
    ]),
  ];
}

const NOT_SIGNED = { Algorithm: 'urn:mdr-stream:not-signed' };
const NOT_A_SIGNATURE = element('ds:Signature', [
  element('ds:SignedInfo', [
    element('ds:CanonicalizationMethod', [], NOT_SIGNED),
    element('ds:SignatureMethod', [], NOT_SIGNED),
    element('ds:Reference', [element('ds:DigestMethod', [], NOT_SIGNED), element('ds:DigestValue')], { URI: '' }),
  ]),
  element('ds:SignatureValue'),
]);

/** DUIS `QuarantinedRequest` in a DCC Alert. */
function quarantineAlert({ requestId }: DuisRequest, eventRef: number, codes: AssumedCodes): XmlNode {
  return element('sr:DCCAlertMessage', [
    element('sr:DCCAlertCode', codes.quarantineAlert),
    element('sr:DCCAlert', [
      element('sr:QuarantinedRequest', [
        element('sr:ADUserThresholdBreach', [
          element('sr:RequestID', formatRequestId(requestId)),
          element('sr:QuarantineEventRef', String(eventRef)),
        ]),
      ]),
    ]),
  ]);
}

/** DUIS `DSPSchedules`. */
function scheduleRead(schedule: Schedule): XmlNode {
  const { window, endDay, executionTimeMs } = schedule;
  const offsets =
    window === null
      ? []
      : [
          element('sr:StartDateOffset', String(window.startOffsetDays)),
          element('sr:StartTime', formatTime(window.startTimeMs)),
          element('sr:EndDateOffset', String(window.endOffsetDays)),
          element('sr:EndTime', formatTime(window.endTimeMs)),
        ];
  return element('sr:DSPSchedules', [
    element('sr:DSPScheduleID', String(schedule.id)),
    element('sr:DSPScheduleDetails', [
      element('sr:ScheduleFrequency', schedule.frequency),
      element('sr:ScheduleStartDate', formatDay(schedule.startDay)),
      endDay === undefined ? undefined : element('sr:ScheduleEndDate', formatDay(endDay)),
      executionTimeMs === undefined ? undefined : element('sr:ScheduleExecutionStartTime', formatTime(executionTimeMs)),
      element('sr:DSPScheduledServiceReference', serviceReferenceOf(schedule.srv)),
      element('sr:DSPScheduledServiceReferenceVariant', schedule.srv),
      element('sr:DeviceID', schedule.deviceId),
      element(`sr:${SCHEDULED_BODIES[schedule.srv as ScheduledVariant]}`, offsets),
    ]),
  ]);
}

/** DUIS `Device`. */
function inventoryDevice(device: WorldDevice): XmlNode {
  return element('sr:Device', [
    element('sr:DeviceID', device.id),
    element('sr:DeviceType', device.type),
    element('sr:DeviceStatus', device.status),
    element('sr:DeviceManufacturer', device.manufacturer),
    element('sr:DeviceModel', device.model),
    device.importMpan === undefined ? undefined : element('sr:ImportMPxN', String(device.importMpan)),
    device.exportMpan === undefined ? undefined : element('sr:ExportMPAN', String(device.exportMpan)),
    device.generation === 'SMETS1' ? element('sr:CSPRegion', 'SMETS1') : undefined,
  ]);
}

/** ms after midnight UTC as xs:time. */
function formatTime(ms: number): string {
  return formatInstant(ms).slice('1970-01-01T'.length);
}
