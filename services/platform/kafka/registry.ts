import { SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry';
import { MdrError } from '#core/errors.ts';
import { schemaText, subjectOf, TOPICS, type TopicName } from '#schemas/topics.ts';

/** Schema ids by topic. They stand in the first five bytes of every value. */
export type SchemaIds = Readonly<Record<TopicName, number>>;

const RETRIES = 5;

/**
 * Registers the schema of every topic with backward compatibility and returns their ids. Throws COULD_NOT_RUN where
 * the registry refuses one: consumers of what is already in the topic could not read with it.
 */
export async function registerSchemas(url: string): Promise<SchemaIds> {
  const registry = new SchemaRegistry({ host: url, retry: { retries: RETRIES } });
  const ids: Partial<Record<TopicName, number>> = {};
  for (const topic of Object.keys(TOPICS) as TopicName[]) {
    const subject = subjectOf(topic);
    try {
      const { id } = await registry.register(
        { type: SchemaType.AVRO, schema: schemaText(topic) },
        { subject, compatibility: 'BACKWARD' as never },
      );
      ids[topic] = id;
    } catch (error) {
      const advice = 'a schema that reads what is in the topic: give new fields defaults, do not rename or retype';
      throw new MdrError('COULD_NOT_RUN', `The registry at ${url} refused the schema of ${topic}`, [
        {
          file: `schemas/${TOPICS[topic].schema}.avsc`,
          path: subject,
          expected: `${advice} (${(error as Error).message})`,
        },
      ]);
    }
  }
  return ids as SchemaIds;
}
