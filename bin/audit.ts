import { parseArgs } from 'node:util';
import { MdrError } from '#core/errors.ts';
import { formatInstant } from '#core/settlement-day.ts';
import { runAudit } from '#load-tests/audit/audit.ts';
import { FINDINGS_KEPT_MAX } from '#load-tests/audit/findings.ts';
import { renderAudit } from '#load-tests/audit/summary.ts';
import { createKafka } from '#services/platform/kafka/client.ts';
import { NO_SECURITY, type Security } from '#services/platform/kafka/security.ts';
import { prefixesOn } from '#services/platform/kafka/topics.ts';
import { type GivenKafka, givenKafka, requireReachable } from '#services/platform/kafka-provider/given.ts';
import { standingKafka } from '#services/platform/kafka-provider/standing-kafka.ts';
import { createLog } from '#services/platform/log.ts';
import { latestRuns } from '#services/platform/run-record.ts';

export const summary =
  'Reads the topics of a run and proves that no request was lost, answered twice or decided wrongly';

export const help = `Usage: mdr audit [options]

Reads the topics of a run from their start, one partition after another, and proves its ledger without the services'
code: every request received was answered once, refused by the rules, held by its User's own threshold, or is in
dead-letters; every late one was counted as a breach, and no other. Nothing is written; it may be run at any time.

  --prefix P           what stands before the topics' names (MDR_PREFIX; else that of the run that began last, which is
                       said on standard error with the prefixes of others)
  --all                demands an answer to every request, those received after the counted time too
  --no-dead-letters    what was set aside is a fault
  --show N             faults and warnings shown of each kind (20)
  --json               prints the whole audit as JSON, at most ${FINDINGS_KEPT_MAX.toLocaleString('en-GB')} findings of a kind
  --brokers HOST:PORT  Kafka brokers, several with commas (KAFKA_BROKERS; else what 'mdr kafka up' has running)
  --registry URL       their schema registry (SCHEMA_REGISTRY_URL)
  --help

Exit codes: 0 the ledger is clean, 1 it has faults, 2 bad input, 3 could not run.

Examples:
  mdr audit
  mdr audit --prefix load7. --all --no-dead-letters
  mdr audit --json | jq '.faults.list[] | select(.kind == "lost")'
`;

const PREFIX_DEFAULT = 'mdr.';
/** Of other runs so many are named: of a Kafka that has gone on for long there may be hundreds. */
const OTHERS_NAMED_MAX = 5;

export async function run(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      prefix: { type: 'string' },
      all: { type: 'boolean', default: false },
      'no-dead-letters': { type: 'boolean', default: false },
      show: { type: 'string', default: '20' },
      json: { type: 'boolean', default: false },
      brokers: { type: 'string' },
      registry: { type: 'string' },
    },
  });
  if (!/^\d{1,9}$/.test(values.show)) throw new MdrError('USAGE', `--show ${values.show} is not a whole number`);
  const { brokers, registryUrl, security } = await kafkaOf(values);
  const report = await runAudit({
    brokers,
    registryUrl,
    security,
    prefix: values.prefix ?? process.env.MDR_PREFIX ?? (await latestPrefix(brokers, security)),
    isAllDemanded: values.all,
    isDeadLetterFault: values['no-dead-letters'],
  });
  process.stdout.write(values.json ? `${JSON.stringify(report, null, 2)}\n` : renderAudit(report, Number(values.show)));
  return report.clean ? 0 : 1;
}

/** The prefix of the run that began last on a Kafka, whatever it is; says which it is, and how others are audited. */
async function latestPrefix(brokers: string[], { kafka: security }: Security): Promise<string> {
  const kafka = createKafka(brokers, 'mdr-audit', createLog('mdr-audit', 'silent'), security);
  const admin = kafka.admin();
  await admin.connect();
  try {
    const runs = [...(await latestRuns(kafka, admin, await prefixesOn(admin)))]
      .map(([prefix, { runId, wallEpochMs }]) => ({ prefix, runId, wallEpochMs }))
      .sort((a, b) => b.wallEpochMs - a.wallEpochMs);
    if (runs.length === 0) return PREFIX_DEFAULT;
    process.stderr.write(latestText(runs));
    return runs[0].prefix;
  } finally {
    await admin.disconnect();
  }
}

type FoundRun = { prefix: string; runId: string; wallEpochMs: number };

function latestText([latest, ...others]: readonly FoundRun[]): string {
  const began = ({ wallEpochMs }: FoundRun) => `began ${formatInstant(Math.floor(wallEpochMs / 1000) * 1000)}`;
  const lines = [`The last run on this Kafka: ${latest.runId}, ${began(latest)}, --prefix ${latest.prefix}`];
  if (others.length > 0) lines.push('To audit one before it:');
  for (const other of others.slice(0, OTHERS_NAMED_MAX))
    lines.push(`  npx mdr audit --prefix ${other.prefix}  (${other.runId}, ${began(other)})`);
  if (others.length > OTHERS_NAMED_MAX) lines.push(`  and ${others.length - OTHERS_NAMED_MAX} more`);
  return `${lines.join('\n')}\n`;
}

async function kafkaOf(values: { brokers?: string; registry?: string }): Promise<GivenKafka> {
  const given = givenKafka(values);
  if (given !== undefined) {
    await requireReachable(given);
    return given;
  }
  const standing = await standingKafka();
  if (standing !== undefined) return { ...standing, security: NO_SECURITY };
  throw new MdrError('COULD_NOT_RUN', 'No Kafka is given and none is running: give --brokers and --registry');
}
