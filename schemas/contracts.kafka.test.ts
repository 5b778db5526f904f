import { readFileSync } from 'node:fs';
import { SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry';
import { expect, test } from 'vitest';
import { registerSchemas } from '#services/platform/kafka/registry.ts';
import { describeWithKafka } from '#services/platform/test/with-kafka.ts';
import { type AvroRecord, BREAKING_CHANGES, withNewField } from './test/breaking-changes.ts';
import { TOPICS, type TopicName } from './topics.ts';

const SCHEMAS = [...new Set(Object.values(TOPICS).map(({ schema }) => schema))];
const run = `contracts-${process.pid}-${Math.trunc(performance.timeOrigin)}`;
const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');

describeWithKafka('a registry under BACKWARD compatibility', ({ registryUrl }) => {
  const registry = new SchemaRegistry({ host: registryUrl, retry: { retries: 2 } });
  let subjects = 0;

  /** Registers schemas one after another under a subject of their own. */
  async function register(...schemas: string[]): Promise<number[]> {
    const subject = `${run}-${subjects++}-value`;
    const ids: number[] = [];
    for (const schema of schemas) {
      const options = { subject, compatibility: 'BACKWARD' as never };
      ids.push((await registry.register({ type: SchemaType.AVRO, schema }, options)).id);
    }
    return ids;
  }

  test.each(SCHEMAS)('takes today %s after the released one', async (schema) => {
    expect(await register(read(`released/${schema}.avsc`), read(`${schema}.avsc`))).toHaveLength(2);
  });

  test('takes a new field with a default', async () => {
    const changed = withNewField(JSON.parse(read('run.avsc')) as AvroRecord);
    const [released, today] = await register(read('released/run.avsc'), JSON.stringify(changed));
    expect(today).not.toBe(released);
  });

  test.each(Object.entries(BREAKING_CHANGES))('refuses %s', async (_, { schema, change }) => {
    const changed = JSON.parse(read(`${schema}.avsc`)) as AvroRecord;
    change(changed);
    await expect(register(read(`released/${schema}.avsc`), JSON.stringify(changed))).rejects.toThrow(/incompatible/i);
  });

  test('gives every topic the id of its schema, the same each time', async () => {
    const ids = await registerSchemas(registryUrl);
    expect(await registerSchemas(registryUrl)).toEqual(ids);
    for (const name of Object.keys(TOPICS) as TopicName[]) {
      const { schema } = TOPICS[name];
      const others = (Object.keys(TOPICS) as TopicName[]).filter((other) => TOPICS[other].schema === schema);
      expect(new Set(others.map((other) => ids[other]))).toEqual(new Set([ids[name]]));
    }
    expect(new Set(Object.values(ids)).size).toBe(SCHEMAS.length);
  });
});
