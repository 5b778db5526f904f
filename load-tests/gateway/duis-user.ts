import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { Agent, createServer, request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { DCC_ACCESS_CONTROL_BROKER, type DeviceId } from '#core/identifiers.ts';
import { formatDay, formatInstant } from '#core/settlement-day.ts';
import { issuerAndSerialOf } from '#services/gateway/certificate-directory.ts';
import { serviceReferenceOf } from '#services/gateway/duis-request.ts';
import { DUIS_NAMESPACE } from '#services/gateway/element-sequence.ts';
import { signElement } from '#services/gateway/xml-signature.ts';
import { type ElementNode, element, renderCompactXml } from '#services/gateway/xml-writer.ts';

/** A User's system: its keys, a client of the gateway, and the endpoint that its responses come to. */
export type DuisUser = {
  eui: DeviceId;
  agent: Agent;
  sign(request: ElementNode): string;
};

/** Reads the User's keys from a folder of `mdr pki`. */
export function openUser(keys: string, eui: DeviceId, sockets = 16): DuisUser {
  const file = (name: string) => readFileSync(join(keys, name), 'utf8');
  const party = (name: string) => file(join('parties', eui, name));
  const signer = {
    privateKey: createPrivateKey(party('signing.key')),
    ...issuerAndSerialOf(new X509Certificate(party('signing.pem'))),
  };
  return {
    eui,
    agent: new Agent({
      keepAlive: true,
      maxSockets: sockets,
      key: party('client.key'),
      cert: party('client.pem'),
      ca: file('ca.pem'),
    }),
    sign: (request) => renderCompactXml(signElement(request, signer, 'inclusive')),
  };
}

/** A Service Request as a User writes it; the target is the DCC where no device is named. */
export function duisRequest(
  originator: DeviceId,
  counter: bigint | number,
  srv: string,
  body: ElementNode,
  target: DeviceId = DCC_ACCESS_CONTROL_BROKER,
): ElementNode {
  const header = [
    element('sr:RequestID', `${originator}:${target}:${counter}`),
    element('sr:CommandVariant', target === DCC_ACCESS_CONTROL_BROKER ? '8' : '1'),
    element('sr:ServiceReference', serviceReferenceOf(srv)),
    element('sr:ServiceReferenceVariant', srv),
  ];
  return element('sr:Request', [element('sr:Header', header), element('sr:Body', [body])], {
    'xmlns:sr': DUIS_NAMESPACE,
    'xmlns:ds': 'http://www.w3.org/2000/09/xmldsig#',
    schemaVersion: '5.4',
  });
}

/** The import profile of a window, both ends inclusive: 4.8.1. */
export function profileRead(startMs: number, endMs: number): ElementNode {
  return element('sr:ReadActiveImportProfileData', [
    element('sr:ReadLogPeriod', [
      element('sr:StartDateTime', formatInstant(startMs)),
      element('sr:EndDateTime', formatInstant(endMs)),
    ]),
  ]);
}

/** A daily read of the import profile of the day before: 5.1. */
export function dailySchedule(device: DeviceId, startDay: number, executionTime: string): ElementNode {
  return element('sr:CreateSchedule', [
    element('sr:ScheduleFrequency', 'Daily'),
    element('sr:ScheduleStartDate', formatDay(startDay)),
    element('sr:ScheduleExecutionStartTime', executionTime),
    element('sr:DSPScheduledServiceReference', '4.8'),
    element('sr:DSPScheduledServiceReferenceVariant', '4.8.1'),
    element('sr:DeviceID', device),
    element('sr:DSPReadActiveImportProfileData', [
      element('sr:StartDateOffset', '-1'),
      element('sr:StartTime', '00:30:00Z'),
      element('sr:EndDateOffset', '0'),
      element('sr:EndTime', '00:00:00Z'),
    ]),
  ]);
}

export type HttpAnswer = { status: number; headers: IncomingMessage['headers']; body: string };

/** Asks the gateway as the User; rejects where the connection fails. */
export function ask(user: DuisUser, url: string, method: string, body = ''): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest(url, {
      method,
      agent: user.agent,
      headers: { 'content-type': 'application/xml', 'content-length': Buffer.byteLength(body) },
    });
    request.once('error', reject);
    request.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks).toString('utf8'),
        }),
      );
      response.once('error', reject);
    });
    request.end(body);
  });
}

/** The first value of an element, without its namespace; undefined where there is none. */
export function elementValue(document: string, name: string): string | undefined {
  return new RegExp(`<(?:\\w+:)?${name}>([^<]*)<`).exec(document)?.[1];
}

export type Endpoint = {
  url: string;
  received: string[];
  /** What it answers from now on. */
  status: number;
  close(): Promise<void>;
};

/** Where a User takes its responses: HTTPS with the server's certificate of the folder. */
export async function openEndpoint(keys: string): Promise<Endpoint> {
  const file = (name: string) => readFileSync(join(keys, name), 'utf8');
  const endpoint: Endpoint = { url: '', received: [], status: 200, close: () => Promise.resolve() };
  const server = createServer(
    {
      key: file('server.key'),
      cert: file('server.pem'),
      ca: file('ca.pem'),
      requestCert: true,
      rejectUnauthorized: true,
    },
    (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.once('end', () => {
        if (endpoint.status < 300) endpoint.received.push(Buffer.concat(chunks).toString('utf8'));
        response.writeHead(endpoint.status).end();
      });
    },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  endpoint.url = `https://localhost:${(server.address() as AddressInfo).port}/duis`;
  endpoint.close = () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return endpoint;
}
