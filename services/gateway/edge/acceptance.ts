import { FACT, FACTS, type Fact, responseCode } from '#core/access-control.ts';
import { DCC_ACCESS_CONTROL_BROKER, type DeviceId, formatRequestId, parseMpan } from '#core/identifiers.ts';
import { type Matrix, MODES, REGISTERS, ROLES, type Role, SERVICES, SRVS, srvIndex } from '#core/matrix.ts';
import { partitionOfMpan } from '#core/partition.ts';
import { counterOf } from '#schemas/counter.ts';
import { RequestReader } from '#schemas/request-reader.ts';
import {
  newServiceRequest,
  SERVICE_REQUEST_BYTES_MAX,
  type ServiceRequestFields,
  UNKNOWN_SRV,
  writeServiceRequest,
} from '#schemas/service-request.ts';
import { euiBytes } from '#schemas/wire.ts';
import { nowMs } from '#services/platform/clock.ts';
import type { ServiceContext } from '#services/platform/service.ts';
import type { SimClock } from '#services/platform/sim-clock.ts';
import type { AssumedCode } from '../assumed-codes.ts';
import type { DuisBody, DuisRequest } from '../duis-request.ts';
import { encodeRecord, type GatewayRequestRecord, scheduleRecord } from '../gateway-records.ts';
import { EXPORT, type GatewayTables, IMPORT } from './access-tables.ts';
import type { HeldRequest } from './held-requests.ts';
import { answerQuarantine, type QuarantineAnswer } from './quarantine-answer.ts';
import { REQUEST_ID_BYTES, type RequestIds } from './request-ids.ts';
import type { RequestLane } from './request-lane.ts';
import type { ScheduleIndex } from './schedule-index.ts';

/** What the edge says to a request: a DUIS code, or that it had better come again. */
export type Verdict = { code: string; reason: string } | { retryAfterSeconds: number; reason: string };

/** How a request came. */
export type Arrival = {
  request: DuisRequest;
  signer: DeviceId;
  path: 'serviceS' | 'serviceD';
  /** An IS or ES asks for MHHS. An MDR always does. */
  mhhs: boolean;
};

export type AcceptanceOptions = {
  context: ServiceContext;
  matrix: Matrix;
  clock: SimClock;
  source: number;
  tables: GatewayTables;
  schedules: ScheduleIndex;
  ids: RequestIds;
  lanes: readonly RequestLane[];
  codes: Record<AssumedCode, string>;
};

/** A broker that is away for a moment is back within some of these. */
const BUSY_SECONDS = 2;
const IDS_FULL_SECONDS = 60;

/** A request as its record has it, but for its position. */
type Draft = { fields: ServiceRequestFields; originator: Buffer; device: Buffer; signer: Buffer | undefined };

/**
 * Decides on requests as access control will, and puts those that it accepts into the stream. I99 is said only when the
 * broker has the request: what was accepted is not lost, and what is not acknowledged was not accepted.
 */
export class Acceptance {
  readonly #options: AcceptanceOptions;
  readonly #reader = new RequestReader();
  readonly #scratch = Buffer.alloc(SERVICE_REQUEST_BYTES_MAX);

  constructor(options: AcceptanceOptions) {
    this.#options = options;
  }

  async accept(arrival: Arrival): Promise<Verdict> {
    const { request } = arrival;
    const misfit = misfitOf(arrival, this.#options.matrix);
    if (misfit !== undefined) return misfit;
    const draft = this.#draft(arrival);
    const fact = this.#decideInBestRole(draft, arrival);
    const future = futureDated(request.body, fact);
    if (future !== undefined) return future;
    if (fact === FACT.deviceUnknown && 'scheduleId' in request.body) return this.#noSuchSchedule(request.body);
    if (fact !== FACT.accepted) return { code: responseCode(fact), reason: `access control: ${FACTS[fact].fact}` };
    return await this.#put(request, draft);
  }

  /** Lets a held request go on, or has it dropped: with the broker when this resolves. `answered` is called before. */
  async answerQuarantine(held: HeldRequest, answer: QuarantineAnswer, answered: () => void): Promise<Verdict> {
    const { lanes, clock, source, context } = this.#options;
    const lane = lanes[partitionOfMpan(held.fields.mpan, context.settings.partitions)];
    if (lane.isFull) return { retryAfterSeconds: BUSY_SECONDS, reason: 'more was accepted than the broker has taken' };
    answered();
    await answerQuarantine(lane, held, answer, source, clock);
    return { code: 'I99', reason: answer === 'process' ? 'it goes on' : 'it is dropped' };
  }

  async #put(request: DuisRequest, draft: Draft): Promise<Verdict> {
    const { ids, lanes, codes, context } = this.#options;
    const { mpan } = draft.fields;
    const partition = partitionOfMpan(mpan, context.settings.partitions);
    const lane = lanes[partition];
    if (lane.isFull) return { retryAfterSeconds: BUSY_SECONDS, reason: 'more was accepted than the broker has taken' };
    if (ids.isFull) return { retryAfterSeconds: IDS_FULL_SECONDS, reason: 'too many RequestIDs are remembered' };
    if (!ids.add(requestIdBytes(request, draft), 0, nowMs()))
      return { code: codes.duplicateRequest, reason: `${formatRequestId(request.requestId)} was accepted before` };
    const beyond = beyondRecord(request, draft);
    if (beyond !== undefined) {
      const batch = encodeRecord('gateway-requests', String(mpan), beyond, context.schemaIds['gateway-requests']);
      await context.outbox.send('gateway-requests', partition, batch, 1);
    }
    await lane.write(mpan, (position) => {
      draft.fields.position = position;
      return Buffer.from(this.#encoded(draft));
    });
    return { code: 'I99', reason: 'accepted' };
  }

  #draft({ request, signer, mhhs }: Arrival): Draft {
    const { matrix, clock, source } = this.#options;
    const { requestId, srv, body } = request;
    const nowWallMs = nowMs();
    const receivedMs = Math.floor(clock.isPaced ? clock.now() : nowWallMs);
    const { mpan, device } = this.#place(request);
    const isWindow = body.kind === 'window';
    const fields: ServiceRequestFields = {
      ...newServiceRequest(),
      ...counterOf(requestId.counter),
      source,
      mpan,
      role: MDR,
      srv: srvSymbol(matrix, srv),
      scheduledSrv: body.kind === 'create-schedule' ? srvSymbol(matrix, body.srv) : UNKNOWN_SRV,
      mode: ON_DEMAND,
      service: mhhs ? MHHS : EXISTING,
      receivedMs,
      windowStartMs: isWindow ? body.startMs : receivedMs,
      windowEndMs: isWindow ? body.endMs : receivedMs,
      dueWallMs: nowWallMs,
    };
    const { originator } = requestId;
    return {
      fields,
      originator: euiBytes(originator),
      device,
      signer: signer === originator ? undefined : euiBytes(signer),
    };
  }

  /** The device that is asked about and the MPAN that the request is keyed by; an MPAN of nobody where none is known. */
  #place({ requestId, srv, body }: DuisRequest): { mpan: number; device: Buffer } {
    const { matrix, tables, schedules } = this.#options;
    switch (body.kind) {
      case 'registers':
      case 'window':
        return this.#placeOf(euiBytes(requestId.target), registerOf(matrix, srv));
      case 'create-schedule':
        return this.#placeOf(euiBytes(body.deviceId), registerOf(matrix, body.srv));
      case 'read-schedule':
      case 'delete-schedule':
        if ('deviceId' in body) return this.#placeOf(euiBytes(body.deviceId), IMPORT);
        return schedules.get(body.scheduleId) ?? NOWHERE;
      case 'read-inventory': {
        if (body.by === 'DeviceID') return this.#placeOf(euiBytes(body.value), IMPORT);
        const mpan = body.by === 'MPxN' ? parseMpan(body.value) : undefined;
        if (mpan === undefined) return NOWHERE;
        const table = tables.tableOf(mpan);
        const at = table.find(mpan);
        if (at < 0 || !table.hasDevice(at)) return NOWHERE;
        const device = Buffer.alloc(8);
        device.writeInt32BE(table.deviceFirst(at), 0);
        device.writeInt32BE(table.deviceSecond(at), 4);
        return { mpan, device };
      }
    }
  }

  // A device without the register asked for is decided on by its other MPAN: what is missing is the registration.
  #placeOf(device: Buffer, register: number): { mpan: number; device: Buffer } {
    const { devices } = this.#options.tables;
    const [first, second] = [device.readInt32BE(0), device.readInt32BE(4)];
    const mpan = devices.mpan(first, second, register) || devices.mpan(first, second, IMPORT + EXPORT - register);
    return { mpan: mpan || NOWHERE.mpan, device };
  }

  /**
   * Of several roles the one that gets furthest through the steps: a User's EUI does not say in which it acts. Of equals
   * the Supplier of the register that is read.
   */
  #decideInBestRole(draft: Draft, { mhhs, request }: Arrival): Fact {
    const { tables, matrix } = this.#options;
    const { fields, originator } = draft;
    const record = tables.userRecords.get(originator.toString('hex').toUpperCase());
    const held = (record?.roles ?? []).map(({ role }) => ROLES.indexOf(role as Role)).filter((role) => role >= 0);
    const { body, srv } = request;
    const isExport = registerOf(matrix, body.kind === 'create-schedule' ? body.srv : srv) === EXPORT;
    let best = { fact: FACT.userUnknown as Fact, role: MDR, reached: -1 };
    for (const role of held.length === 0 ? [MDR] : held) {
      fields.role = role;
      fields.service = role === MDR || mhhs ? MHHS : EXISTING;
      const value = this.#encoded(draft);
      this.#reader.readServiceRequest(value, 0, value.length);
      const fact = tables.decide(this.#reader);
      const reached = fact === FACT.accepted ? FACTS.length : fact;
      const isOfRegister = role === (isExport ? ES : IS);
      if (reached > best.reached || (reached === best.reached && isOfRegister)) best = { fact, role, reached };
    }
    fields.role = best.role;
    fields.service = best.role === MDR || mhhs ? MHHS : EXISTING;
    return best.fact;
  }

  #encoded({ fields, originator, device, signer }: Draft): Buffer {
    const end = writeServiceRequest(this.#scratch, 0, fields, originator, device, 0, 0, signer);
    return this.#scratch.subarray(0, end);
  }

  #noSuchSchedule(body: DuisBody): Verdict {
    const { codes } = this.#options;
    const code = body.kind === 'delete-schedule' ? codes.deleteUnknownSchedule : codes.readUnknownSchedule;
    return { code, reason: 'there is no such schedule' };
  }
}

const MDR = ROLES.indexOf('MDR');
const IS = ROLES.indexOf('IS');
const ES = ROLES.indexOf('ES');
const MHHS = SERVICES.indexOf('mhhs');
const EXISTING = SERVICES.indexOf('existing');
const ON_DEMAND = MODES.indexOf('on-demand');
/** The least of 13 digits: of no distributor, so nobody's. */
const NOWHERE = { mpan: 1e12, device: Buffer.alloc(8) };

function srvSymbol(matrix: Matrix, srv: string): number {
  const index = srvIndex(matrix, srv);
  return index < 0 ? SRVS.indexOf(srv as (typeof SRVS)[number]) : matrix.srv[index];
}

function registerOf(matrix: Matrix, srv: string): number {
  return REGISTERS[matrix.register[srvIndex(matrix, srv)]] === 'export' ? EXPORT : IMPORT;
}

/** What is wrong with a request whoever asks: the path, the CommandVariant, the target of what the DCC answers itself. */
function misfitOf({ request, path }: Arrival, matrix: Matrix): Verdict | undefined {
  const service = matrix.services[srvIndex(matrix, request.srv)];
  if (service === undefined) return undefined;
  const isForDcc = service.target === 'dcc';
  if (isForDcc !== (path === 'serviceD'))
    return { code: 'E13', reason: `${service.srv} goes to /api/v1/${isForDcc ? 'serviceD' : 'serviceS'}` };
  if (request.commandVariant !== service.commandVariant)
    return { code: 'E12', reason: `${service.srv} takes CommandVariant ${service.commandVariant}` };
  if (isForDcc && request.requestId.target !== DCC_ACCESS_CONTROL_BROKER)
    return { code: 'E11', reason: `${service.srv} is for ${DCC_ACCESS_CONTROL_BROKER}` };
  return undefined;
}

/** MP162 knows on demand and scheduled; a request for later execution is neither (steps 1 and 2 are asked first). */
function futureDated(body: DuisBody, fact: Fact): Verdict | undefined {
  if (!('executionMs' in body) || body.executionMs === undefined) return undefined;
  if (fact !== FACT.accepted && FACTS[fact].step < 3) return undefined;
  return { code: 'E2', reason: 'it is on demand or scheduled, not future dated' };
}

function requestIdBytes({ requestId }: DuisRequest, { originator }: Draft): Buffer {
  const bytes = Buffer.alloc(REQUEST_ID_BYTES);
  originator.copy(bytes, 0);
  euiBytes(requestId.target).copy(bytes, 8);
  bytes.writeBigUInt64BE(requestId.counter, 16);
  return bytes;
}

/** What the request asks beyond its record, as a record of its own; undefined of all but 5.1, 5.2 and 5.3. */
function beyondRecord(
  { requestId, body }: DuisRequest,
  { fields, originator }: Draft,
): GatewayRequestRecord | undefined {
  const isReference = body.kind === 'read-schedule' || body.kind === 'delete-schedule';
  if (body.kind !== 'create-schedule' && !isReference) return undefined;
  const { mpan, receivedMs } = fields;
  return {
    mpan,
    originator,
    target: euiBytes(requestId.target),
    counter: requestId.counter,
    receivedMs,
    schedule:
      body.kind === 'create-schedule'
        ? scheduleRecord({
            ...body,
            id: 0,
            userEui: requestId.originator,
            role: ROLES[fields.role],
            service: SERVICES[fields.service],
          })
        : null,
    scheduleId: isReference && 'scheduleId' in body ? body.scheduleId : null,
    device: isReference && 'deviceId' in body ? euiBytes(body.deviceId) : null,
  };
}
