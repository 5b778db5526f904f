import { Agent } from 'node:https';
import { SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry';
import { MdrError } from '#core/errors.ts';
import { schemaText, subjectOf, TOPICS, type TopicName } from '#schemas/topics.ts';
import { askRegistry } from './registry-request.ts';
import type { RegistrySecurity } from './security.ts';

/** Schema ids by topic. They stand in the first five bytes of every value. */
export type SchemaIds = Readonly<Record<TopicName, number>>;

const RETRIES = 5;
const ANSWER_WITHIN_MS = 30_000;

/**
 * Registers the schema of every topic with backward compatibility and returns their ids. Throws COULD_NOT_RUN where
 * the registry does not answer, or refuses one: consumers of what is already in the topic could not read with it.
 */
export async function registerSchemas(url: string, { ca, auth }: RegistrySecurity = {}): Promise<SchemaIds> {
  const registry = new SchemaRegistry({
    host: url,
    retry: { retries: RETRIES },
    ...(auth && { auth }),
    ...(ca !== undefined && { agent: new Agent({ ca }) }),
  });
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
      throw registryError(url, topic, error as Error & { status?: number });
    }
  }
  return ids as SchemaIds;
}

/** The schema that the registry has by an id; undefined where it has none. Throws COULD_NOT_RUN. */
export async function registeredSchema(
  url: string,
  id: number,
  security: RegistrySecurity = {},
): Promise<string | undefined> {
  return (await registryJson<{ schema: string }>(url, `/schemas/ids/${id}`, security))?.schema;
}

/** Every version of a subject's schema, with its id; none where the registry does not know it. Throws COULD_NOT_RUN. */
export async function registeredVersions(
  url: string,
  subject: string,
  security: RegistrySecurity = {},
): Promise<{ id: number; schema: string }[]> {
  const versions = `/subjects/${encodeURIComponent(subject)}/versions`;
  const numbers = (await registryJson<number[]>(url, versions, security)) ?? [];
  const found = await Promise.all(
    numbers.map((number) => registryJson<{ id: number; schema: string }>(url, `${versions}/${number}`, security)),
  );
  return found.filter((one) => one !== undefined);
}

async function registryJson<T>(url: string, path: string, security: RegistrySecurity): Promise<T | undefined> {
  const answer = await askRegistry(url + path, security, ANSWER_WITHIN_MS).catch((error: Error) => {
    throw new MdrError('COULD_NOT_RUN', `No schema registry answers at ${url}: ${error.message}`);
  });
  if (answer.status === NOT_FOUND) return undefined;
  if (answer.json === undefined) throw new MdrError('COULD_NOT_RUN', `${url}${path} answers ${answer.status}`);
  return answer.json as T;
}

function registryError(url: string, topic: TopicName, error: Error & { status?: number }): MdrError {
  const isRefusal = error.status === CONFLICT || /incompatible/i.test(error.message);
  if (!isRefusal) return new MdrError('COULD_NOT_RUN', `No schema registry answers at ${url}: ${error.message}`);
  const advice = 'a schema that reads what is in the topic: give new fields defaults, do not rename or retype';
  return new MdrError('COULD_NOT_RUN', `The registry at ${url} refused the schema of ${topic}`, [
    {
      file: `schemas/${TOPICS[topic].schema}.avsc`,
      path: subjectOf(topic),
      expected: `${advice} (${error.message})`,
    },
  ]);
}

const CONFLICT = 409;
const NOT_FOUND = 404;
