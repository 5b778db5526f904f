import avsc from 'avsc';

/**
 * An Avro type whose fields named `counter` are unsigned 64-bit bigints: a double does not hold them, and avsc refuses
 * what one cannot hold. `text`: an Avro schema as JSON.
 */
export function typeWithCounters(text: string): avsc.Type {
  return avsc.Type.forSchema(marked(JSON.parse(text)) as avsc.Schema, { typeHook: exactLong });
}

type Schema = { type: unknown; fields?: { name: string; type: unknown }[]; items?: unknown };

function marked(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(marked);
  if (typeof schema !== 'object' || schema === null) return schema;
  const { fields, items, type, ...rest } = schema as Schema;
  return {
    ...rest,
    type: marked(type),
    ...(items === undefined ? {} : { items: marked(items) }),
    ...(fields === undefined
      ? {}
      : {
          fields: fields.map((field) => ({ ...field, type: field.name === 'counter' ? COUNTER : marked(field.type) })),
        }),
  };
}

const COUNTER = { type: 'long', isCounter: true };

const counterType = avsc.types.LongType.__with({
  fromBuffer: (bytes: Buffer) => bytes.readBigUInt64LE(0),
  toBuffer: (value: bigint) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(value);
    return bytes;
  },
  fromJSON: BigInt,
  toJSON: String,
  isValid: (value: unknown) => typeof value === 'bigint' && value >= 0n && value < 2n ** 64n,
  compare: (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0),
});

function exactLong(schema: unknown): avsc.Type | undefined {
  const isCounter = typeof schema === 'object' && schema !== null && 'isCounter' in schema;
  return isCounter ? counterType : undefined;
}
