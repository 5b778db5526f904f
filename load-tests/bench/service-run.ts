import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { matrixJson } from '#core/matrix.ts';
import { DAY_MS } from '#core/settlement-day.ts';
import { type ServiceProcess, startService } from '#load-tests/load/processes.ts';
import { compileModel, type Model } from '#load-tests/plan/model.ts';
import { loadScenario } from '#load-tests/scenario/load.ts';
import { nowMs } from '#services/platform/clock.ts';
import type { RawProducer } from '#services/platform/kafka/raw-producer.ts';
import type { SchemaIds } from '#services/platform/kafka/registry.ts';
import { encodeRun, RUN_PARTITION, type RunRecord } from '#services/platform/run-record.ts';

/** A run record for services that are measured on their own: a scenario whose clock stands at its start. */
export function benchRun(scenario: string, settings: string[], speed: number): { record: RunRecord; model: Model } {
  const loaded = loadScenario(scenario, settings);
  const model = compileModel(loaded.scenario, loaded.matrix);
  const originMs = model.originDay * DAY_MS;
  const record: RunRecord = {
    runId: 'bench',
    state: 'PREPARED',
    epochMs: originMs,
    startMs: originMs + model.warmUpStartMs,
    endMs: originMs + model.horizonMs,
    countedStartMs: originMs + model.countedStartMs,
    countedEndMs: originMs + model.countedEndMs,
    wallEpochMs: nowMs(),
    speed,
    patienceWallMs: 0,
    scenario: JSON.stringify({ scenario: loaded.scenario, matrix: matrixJson(loaded.matrix) }),
  };
  return { record, model };
}

export async function publishRun(
  producer: RawProducer,
  prefix: string,
  record: RunRecord,
  schemaIds: SchemaIds,
): Promise<void> {
  const batch = encodeRun(record, schemaIds.runs);
  await producer.send([{ topic: `${prefix}runs`, partition: RUN_PARTITION, batch, records: 1 }]);
}

export type BenchKafka = { brokers: string[]; registryUrl: string };

/** One process of a service, its log in a temporary folder. */
export async function benchService(
  name: string,
  kafka: BenchKafka,
  prefix: string,
  partitions: number,
  settings: Record<string, string | number> = {},
  workers = 1,
): Promise<ServiceProcess> {
  const directory = mkdtempSync(join(tmpdir(), 'mdr-bench-'));
  mkdirSync(directory, { recursive: true });
  const { brokers, registryUrl: registry } = kafka;
  return await startService({ name, brokers, registry, prefix, partitions, workers, directory, settings });
}
