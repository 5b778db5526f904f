export type AvroField = { name: string; type: unknown; doc?: string; default?: unknown };
export type AvroRecord = { type: 'record'; name: string; namespace?: string; doc?: string; fields: AvroField[] };

/** What nobody may do to a schema that is out, each done to a copy of one. */
export const BREAKING_CHANGES: Record<string, { schema: string; change(record: AvroRecord): void }> = {
  'a renamed field': {
    schema: 'service-response',
    change: ({ fields }) => {
      field(fields, 'answeredMs').name = 'respondedMs';
    },
  },
  'a retyped field': {
    schema: 'service-request',
    change: ({ fields }) => {
      field(fields, 'mpan').type = 'string';
    },
  },
  'a new field without a default': {
    schema: 'registration',
    change: ({ fields }) => {
      fields.push({ name: 'supplierSince', type: 'int', doc: 'Day.' });
    },
  },
  'a removed symbol': {
    schema: 'metering-point',
    change: ({ fields }) => {
      (field(fields, 'status').type as { symbols: string[] }).symbols.pop();
    },
  },
  'a removed symbol inside': {
    schema: 'quarantine-event',
    change: ({ fields }) => {
      const device = field(fields, 'request').type as AvroRecord;
      const request = field(device.fields, 'request').type as AvroRecord;
      (field(request.fields, 'mode').type as { symbols: string[] }).symbols.shift();
    },
  },
};

function field(fields: AvroField[], name: string): AvroField {
  const found = fields.find((one) => one.name === name);
  if (found === undefined) throw new Error(`there is no field ${name}`);
  return found;
}

/** What anybody may do: a new field that has a default. */
export function withNewField(record: AvroRecord): AvroRecord {
  const added: AvroField = { name: 'noteForTests', type: ['null', 'string'], doc: 'Nothing.', default: null };
  return { ...record, fields: [...record.fields, added] };
}
