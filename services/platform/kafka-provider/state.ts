import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MdrError } from '#core/errors.ts';
import type { LocalKafka } from './local-kafka.ts';
import { kafkaDirectory } from './places.ts';

/** What `mdr kafka up` has started and `mdr kafka down` has not stopped. */
export async function readState(): Promise<LocalKafka | undefined> {
  let text: string;
  try {
    text = await readFile(stateFile(), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return JSON.parse(text) as LocalKafka;
  } catch {
    throw new MdrError('INPUT_INVALID', `${stateFile()} is no state of a broker; remove it`);
  }
}

export async function writeState(kafka: LocalKafka): Promise<void> {
  const work = `${stateFile()}.${process.pid}`;
  await writeFile(work, `${JSON.stringify(kafka, null, 2)}\n`);
  await rename(work, stateFile());
}

export async function removeState(): Promise<void> {
  await rm(stateFile(), { force: true });
}

export function stateFile(): string {
  return join(kafkaDirectory(), 'state.json');
}
