import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { sleep } from '#services/platform/clock.ts';
import { freePort } from '#services/platform/kafka-provider/ports.ts';

export type Series = {
  labels: Record<string, string>;
  values: readonly (readonly [atSeconds: number, value: number])[];
};

export type Prometheus = {
  url: string;
  /** What an expression gives at an instant, seconds since the epoch. */
  query(expr: string, atSeconds: number): Promise<{ labels: Record<string, string>; value: number }[]>;
  /** What it gives over a range. */
  queryRange(
    expr: string,
    range: { fromSeconds: number; untilSeconds: number; stepSeconds: number },
  ): Promise<Series[]>;
  stop(): Promise<void>;
};

export type PrometheusOptions = {
  folder: string;
  /** A file of file_sd_configs, there already or to come. Without it nothing is scraped. */
  targets?: string;
  scrapeSeconds?: number;
  /** A folder of blocks to look at. */
  storage?: string;
};

const READY_LOOK_EVERY_MS = 100;
const READY_WITHIN_MS = 60_000;
/** Blocks of any age are kept: a planned day is of whatever year. */
const RETENTION = '100y';

/** Starts a Prometheus on loopback, and waits until it answers. */
export async function startPrometheus(options: PrometheusOptions): Promise<Prometheus> {
  const { folder, targets, scrapeSeconds = 1, storage = join(folder, 'tsdb') } = options;
  mkdirSync(folder, { recursive: true });
  const port = await freePort();
  const config = join(folder, 'prometheus.yml');
  const scraped = { job_name: 'mdr', file_sd_configs: [{ files: [targets], refresh_interval: '1s' }] };
  writeFileSync(
    config,
    stringify({
      global: { scrape_interval: `${scrapeSeconds}s`, scrape_timeout: `${scrapeSeconds}s` },
      scrape_configs: targets === undefined ? [] : [scraped],
    }),
  );
  const child = spawn(
    'prometheus',
    [
      `--config.file=${config}`,
      `--storage.tsdb.path=${storage}`,
      `--storage.tsdb.retention.time=${RETENTION}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=warn',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let log = '';
  child.stderr.on('data', (part) => {
    log += String(part);
  });
  const url = `http://127.0.0.1:${port}`;
  const endMs = performance.now() + READY_WITHIN_MS;
  while (!(await answers(`${url}/-/ready`))) {
    if (child.exitCode !== null || performance.now() > endMs) {
      child.kill('SIGKILL');
      throw new Error(`Prometheus did not get ready:\n${log}`);
    }
    await sleep(READY_LOOK_EVERY_MS);
  }
  return {
    url,
    async query(expr, atSeconds) {
      const found = await ask(url, 'query', { query: expr, time: String(atSeconds) });
      return found.map(({ metric, value }) => ({ labels: metric, value: Number(value?.[1]) }));
    },
    async queryRange(expr, { fromSeconds, untilSeconds, stepSeconds }) {
      const [start, end, step] = [fromSeconds, untilSeconds, stepSeconds].map(String);
      const found = await ask(url, 'query_range', { query: expr, start, end, step });
      return found.map(({ metric, values = [] }) => ({
        labels: metric,
        values: values.map(([at, value]) => [at, Number(value)] as const),
      }));
    },
    async stop() {
      if (child.exitCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    },
  };
}

type Found = { metric: Record<string, string>; value?: [number, string]; values?: [number, string][] };

async function ask(url: string, what: string, parameters: Record<string, string>): Promise<Found[]> {
  const answer = await fetch(`${url}/api/v1/${what}`, { method: 'POST', body: new URLSearchParams(parameters) });
  const { status, error, data } = (await answer.json()) as {
    status: string;
    error?: string;
    data: { resultType: string; result: Found[] };
  };
  if (status !== 'success') throw new Error(`${error}: ${parameters.query}`);
  return data.resultType === 'scalar' ? [] : data.result;
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
}
