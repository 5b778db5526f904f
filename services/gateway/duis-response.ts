import { type DeviceId, formatRequestId, type RequestId, responseIdOf } from '#core/identifiers.ts';
import type { Schedule } from '#core/schedule.ts';
import { formatDay, formatInstant } from '#core/settlement-day.ts';
import type { Answer, Readings, Result } from './answer.ts';
import {
  DUIS_VERSION,
  type DuisRequest,
  SCHEDULED_BODIES,
  type ScheduledVariant,
  type ServiceReferenceVariant,
  serviceReferenceOf,
} from './duis-request.ts';
import { DUIS_NAMESPACE } from './element-sequence.ts';
import { headerAndBody, MMC_NAMESPACE } from './mmc-response.ts';
import type { WorldDevice } from './world.ts';
import type { AssumedCodes } from './world-schema.ts';
import { type Signer, signElement } from './xml-signature.ts';
import { comment, type ElementNode, element, renderCompactXml, renderXml, type XmlNode } from './xml-writer.ts';

/** One Response to a User: what it says of the request that it answers, and what it brings. */
export type ResponseFacts = {
  requestId: RequestId;
  srv: ServiceReferenceVariant;
  /** A code of the schema: I99 acknowledges, I0 succeeds, all others refuse. */
  code: string;
  atMs: number;
  /** The schedule that an execution was of. Nobody asked for its Response, which therefore bears no RequestID. */
  scheduleId?: number;
  content: ResponseContent;
};
export type ResponseContent =
  /** An acknowledgement, a refusal, or that schedules are deleted: the code says all. */
  | { kind: 'none' }
  /** The answer of a SMETS2 meter: the whole GBCS message. */
  | { kind: 'gbcs'; payload: Uint8Array }
  /** The answer of a SMETS1 meter; a snapshot has one row at most, a log no more than the schema has (DOMAIN 7). */
  | { kind: 'smets1'; readings: Readings }
  | { kind: 'schedule-created'; id: number }
  /** 1 to 99. */
  | { kind: 'schedules'; schedules: readonly Schedule[] }
  /** 1 to 17. */
  | { kind: 'inventory'; devices: readonly WorldDevice[] };

/** One DCC Alert to a User. */
export type AlertFacts = { atMs: number; alertCode: string; alert: DccAlert };
export type DccAlert =
  /** Held for exceeding the User's threshold; `eventRef` names the event, at most 20 digits. */
  | { kind: 'quarantined-request'; requestId: RequestId; eventRef: number | bigint }
  /** A schedule was removed because its owner's appointment has ended. */
  | { kind: 'schedule-removal'; deviceId: DeviceId; scheduleId: number };

/** The keys of who speaks to the User: the DCC, and the S1SP within the answer of a SMETS1 meter. */
export type ResponseSigners = { dcc: Signer; s1sp: Signer };

/**
 * A DUIS `Response`, valid against DUIS_Schema_V5.4.xsd: signed and without white space, or for reading, where no
 * signers are given.
 */
export function renderResponse(facts: ResponseFacts, signers?: ResponseSigners): string {
  return documentOf(responseNode(facts, [bodyOf(facts, signers)]), signers);
}

/** A DUIS `Response` that tells a User of a DCC Alert: nobody asked for it, so that it bears neither id. */
export function renderAlert({ atMs, alertCode, alert }: AlertFacts, signers?: ResponseSigners): string {
  return documentOf(envelope([], 'I0', atMs, [alertMessage(alertCode, alert)]), signers);
}

/** The Response to a request of `mdr ask`, not signed: the reason and what a meter answered stand in comments. */
export function duisResponse(request: DuisRequest, answer: Answer, atMs: number, codes: AssumedCodes): string {
  const { requestId, srv } = request;
  const { code, reason, result } = answer;
  const why = comment(`${request.file}: ${reason}`);
  if (result.kind === 'quarantined') {
    const alert = alertMessage(codes.quarantineAlert, { ...result, kind: 'quarantined-request', requestId });
    // An alert is itself a success; what it tells stands in its body.
    return documentOf(envelope(idsOf(requestId), 'I0', atMs, [alert], [why]));
  }
  const facts: ResponseFacts = { requestId, srv, code, atMs, content: contentOf(result) };
  return documentOf(responseNode(facts, [bodyOf(facts)], [why]));
}

function contentOf(result: Exclude<Result, { kind: 'quarantined' }>): ResponseContent {
  switch (result.kind) {
    case 'refused':
    case 'schedules-deleted':
      return { kind: 'none' };
    case 'readings':
      return readingsContent(result.readings);
    case 'inventory':
      return { kind: 'inventory', devices: [result.device] };
    default:
      return result;
  }
}

function readingsContent(readings: Readings): ResponseContent {
  const { gbcsPayload } = readings;
  return gbcsPayload === undefined ? { kind: 'smets1', readings } : { kind: 'gbcs', payload: gbcsPayload };
}

function responseNode(facts: ResponseFacts, body: readonly XmlNode[], comments: readonly XmlNode[] = []): ElementNode {
  const { requestId, scheduleId, code, atMs } = facts;
  const [request, response] = idsOf(requestId);
  return envelope(scheduleId === undefined ? [request, response] : [response], code, atMs, body, comments);
}

function idsOf(requestId: RequestId): [request: XmlNode, response: XmlNode] {
  return [
    element('sr:RequestID', formatRequestId(requestId)),
    element('sr:ResponseID', formatRequestId(responseIdOf(requestId))),
  ];
}

function envelope(
  ids: readonly XmlNode[],
  code: string,
  atMs: number,
  body: readonly XmlNode[],
  comments: readonly XmlNode[] = [],
): ElementNode {
  const header = [...ids, element('sr:ResponseCode', code), element('sr:ResponseDateTime', formatInstant(atMs))];
  return element('sr:Response', [...comments, element('sr:Header', header), element('sr:Body', body)], {
    ...NAMESPACES,
    'xmlns:ds': 'http://www.w3.org/2000/09/xmldsig#',
    schemaVersion: DUIS_VERSION,
  });
}

const NAMESPACES = { 'xmlns:sr': DUIS_NAMESPACE, 'xmlns:ra': MMC_NAMESPACE };

function documentOf(response: ElementNode, signers?: ResponseSigners): string {
  const declaration = '<?xml version="1.0" encoding="UTF-8"?>\n';
  if (signers === undefined) return declaration + renderXml(response);
  return declaration + renderCompactXml(signElement(response, signers.dcc, 'inclusive'));
}

function bodyOf({ requestId, srv, scheduleId, content }: ResponseFacts, signers?: ResponseSigners): XmlNode {
  const ofSchedule = scheduleId === undefined ? undefined : element('sr:DSPScheduleID', String(scheduleId));
  switch (content.kind) {
    case 'none':
      return responseMessage(srv, ofSchedule);
    case 'gbcs': {
      const payload = element('sr:GBCSPayload', Buffer.from(content.payload).toString('base64'));
      const message = ofSchedule === undefined ? payload : element('sr:DSPScheduledMessage', [payload, ofSchedule]);
      return responseMessage(srv, message);
    }
    case 'smets1': {
      const signed = smets1SignedResponse(requestId, content.readings, signers?.s1sp);
      return element('sr:SMETS1ResponseMessage', [...references(srv), ofSchedule, signed]);
    }
    case 'schedule-created':
      return responseMessage(srv, element('sr:DSPScheduleID', String(content.id)));
    case 'schedules':
      return responseMessage(srv, element('sr:DSPSchedulesRead', content.schedules.map(scheduleRead)));
    case 'inventory':
      return responseMessage(srv, element('sr:DSPInventory', content.devices.map(inventoryDevice)));
  }
}

/** DUIS `ResponseMessage`. */
function responseMessage(srv: string, content?: XmlNode): XmlNode {
  return element('sr:ResponseMessage', [...references(srv), content]);
}

function references(srv: string): XmlNode[] {
  return [element('sr:ServiceReference', serviceReferenceOf(srv)), element('sr:ServiceReferenceVariant', srv)];
}

/**
 * DUIS `SMETS1SignedResponse`: the readings in the clear. It is signed as a document of its own, which the S1SP makes
 * and the DCC passes on.
 */
function smets1SignedResponse(requestId: RequestId, readings: Readings, signer?: Signer): XmlNode {
  const response = element('sr:SMETS1Response', headerAndBody('sr', requestId, readings));
  const version = { schemaVersion: DUIS_VERSION };
  if (signer !== undefined) {
    return signElement(
      element('sr:SMETS1SignedResponse', [response], { ...NAMESPACES, ...version }),
      signer,
      'exclusive',
    );
  }
  const note = comment('Not a signature: the schema demands the element, nothing is signed, its values are empty');
  return element('sr:SMETS1SignedResponse', [response, note, NOT_A_SIGNATURE], version);
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

/** DUIS `DCCAlertMessage`. */
function alertMessage(alertCode: string, alert: DccAlert): XmlNode {
  return element('sr:DCCAlertMessage', [
    element('sr:DCCAlertCode', alertCode),
    element('sr:DCCAlert', [alert.kind === 'quarantined-request' ? quarantinedRequest(alert) : scheduleRemoval(alert)]),
  ]);
}

function quarantinedRequest({ requestId, eventRef }: DccAlert & { kind: 'quarantined-request' }): XmlNode {
  return element('sr:QuarantinedRequest', [
    element('sr:ADUserThresholdBreach', [
      element('sr:RequestID', formatRequestId(requestId)),
      element('sr:QuarantineEventRef', String(eventRef)),
    ]),
  ]);
}

function scheduleRemoval({ deviceId, scheduleId }: DccAlert & { kind: 'schedule-removal' }): XmlNode {
  return element('sr:DSPScheduleRemoval', [
    element('sr:DeviceID', deviceId),
    element('sr:DSPScheduleID', String(scheduleId)),
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
