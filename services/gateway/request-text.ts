import { serviceReferenceOf } from './duis-request.ts';

/** The parts of a DUIS Request's text that a test varies. */
export type RequestText = {
  originator?: string;
  target: string;
  counter?: number;
  commandVariant?: number;
  serviceReference?: string;
  srv: string;
  body: string;
};

/** Text of a DUIS Request, for tests. */
export function requestText({
  originator = '90-B3-D5-1F-30-01-00-00',
  target,
  counter = 1,
  commandVariant = 1,
  srv,
  serviceReference = serviceReferenceOf(srv),
  body,
}: RequestText): string {
  return `<?xml version="1.0" encoding="UTF-8"?>
<sr:Request xmlns:sr="http://www.dccinterface.co.uk/ServiceUserGateway" schemaVersion="5.4">
  <sr:Header>
    <sr:RequestID>${originator}:${target}:${counter}</sr:RequestID>
    <sr:CommandVariant>${commandVariant}</sr:CommandVariant>
    <sr:ServiceReference>${serviceReference}</sr:ServiceReference>
    <sr:ServiceReferenceVariant>${srv}</sr:ServiceReferenceVariant>
  </sr:Header>
  <sr:Body>
    ${body}
  </sr:Body>
</sr:Request>
`;
}

export function windowText(element: string, start: string, end: string): string {
  return `<sr:${element}><sr:ReadLogPeriod>
      <sr:StartDateTime>${start}</sr:StartDateTime>
      <sr:EndDateTime>${end}</sr:EndDateTime>
    </sr:ReadLogPeriod></sr:${element}>`;
}
