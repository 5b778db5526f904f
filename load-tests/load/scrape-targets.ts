import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ServiceProcess } from './processes.ts';

/** Of a run's folder: where its services are scraped, in the form of Prometheus' file_sd_configs. */
export const SCRAPE_TARGETS = 'scrape-targets.json';

/** Writes the targets of a run, whole or not at all: Prometheus reads the file the moment it changes. */
export function writeScrapeTargets(directory: string, services: readonly ServiceProcess[], runId: string): void {
  const groups = services.map(({ name, url }) => ({
    targets: [new URL(url).host],
    labels: { job: name, run: runId },
  }));
  const path = join(directory, SCRAPE_TARGETS);
  writeFileSync(`${path}.new`, `${JSON.stringify(groups, null, 2)}\n`);
  renameSync(`${path}.new`, path);
}
