import { Ajv } from 'ajv';
import { expect } from 'vitest';

const count = { type: 'integer', minimum: 0 };
const seconds = { type: 'number', minimum: 0 };
const share = { type: 'number', minimum: 0, maximum: 1 };
const text = { type: 'string', minLength: 1 };
const verdict = { enum: ['held', 'broken', 'undecided'] };
const interval = {
  type: 'array',
  items: [{ type: 'number' }, { type: 'number' }],
  minItems: 2,
  additionalItems: false,
};

/** Every property is required but the optional ones; more may stand beside them. */
function all(properties: Record<string, object>, optional: Record<string, object> = {}) {
  return { type: 'object', required: Object.keys(properties), properties: { ...properties, ...optional } };
}

const percentiles = all({ p50: seconds, p95: seconds, p99: seconds, max: seconds });

/** What the JSON of `mdr plan --json` promises to scripts, written down apart from the code that makes it. */
const SHAPE = all({
  schemaVersion: { const: 1 },
  verdict,
  scenario: all({
    name: text,
    meters: count,
    days: count,
    firstDay: { type: 'string', pattern: '^\\d{4}-\\d\\d-\\d\\d$' },
  }),
  run: all({
    seed: count,
    digest: { type: 'string', pattern: '^[0-9a-f]{64}$' },
    workers: { type: 'integer', minimum: 1 },
    wallSeconds: seconds,
    rssBytesMax: count,
    version: text,
    complete: { type: 'boolean' },
    command: text,
  }),
  ledger: all({
    received: count,
    answered: count,
    refused: { type: 'object', propertyNames: { pattern: '^E\\d+$' }, additionalProperties: count },
    quarantined: count,
    open: count,
    breaches: count,
  }),
  trt: {
    type: 'array',
    items: all(
      {
        srv: { type: 'string', pattern: '^\\d+\\.\\d+(\\.\\d+)?$' },
        generation: { enum: ['SMETS1', 'SMETS2'] },
        mode: { enum: ['scheduled', 'on-demand'] },
        service: { enum: ['mhhs', 'existing'] },
        trtSeconds: { type: 'number', exclusiveMinimum: 0 },
        requests: { type: 'integer', minimum: 1 },
        withinTrt: count,
        breaches: count,
        open: count,
        seconds: percentiles,
      },
      { interval },
    ),
  },
  networks: { type: 'array', minItems: 1, items: all({ name: text, meters: count, utilisationMean: share }) },
  users: { type: 'array', minItems: 1, items: all({ mpid: text, requests: count, firstAttemptsOnDemandShare: share }) },
  thresholds: {
    type: 'array',
    items: all({ expression: text, value: { type: ['number', 'null'] }, verdict }, { interval }),
  },
});

const validate = new Ajv({ allErrors: true, strict: false }).compile(SHAPE);

/** Holds that a parsed report has the promised shape, and that its figures agree with each other. */
export function expectReport(json: unknown): void {
  validate(json);
  expect(validate.errors ?? []).toEqual([]);
  const {
    verdict: overall,
    ledger,
    trt,
    thresholds,
  } = json as {
    verdict: string;
    ledger: { received: number; answered: number; refused: Record<string, number>; quarantined: number; open: number };
    trt: { requests: number; withinTrt: number; breaches: number; open: number }[];
    thresholds: { verdict: string; value: number | null; interval?: [number, number] }[];
  };
  const refused = Object.values(ledger.refused).reduce((sum, one) => sum + one, 0);
  expect(ledger.received).toBe(ledger.answered + refused + ledger.quarantined + ledger.open);
  for (const row of trt) {
    expect(row.requests).toBe(row.withinTrt + row.breaches);
    expect(row.open).toBeLessThanOrEqual(row.breaches);
  }
  for (const { value, interval: range } of thresholds) {
    if (range === undefined) continue;
    expect(value).toBeGreaterThanOrEqual(range[0]);
    expect(value).toBeLessThanOrEqual(range[1]);
  }
  const verdicts = thresholds.map((one) => one.verdict);
  const expected = verdicts.includes('broken') ? 'broken' : verdicts.includes('undecided') ? 'undecided' : 'held';
  expect(overall).toBe(expected);
}
