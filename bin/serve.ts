import { MdrError } from '#core/errors.ts';
import { fleetSim } from '#fleet-sim/service/main.ts';
import { accessControl } from '#services/access-control/main.ts';
import { anomaly } from '#services/anomaly/main.ts';
import { gateway } from '#services/gateway/main.ts';
import { environmentWithKafka } from '#services/platform/kafka-provider/standing-kafka.ts';
import { runService, type Service } from '#services/platform/service.ts';
import { COMMON_SETTINGS, describeSettings } from '#services/platform/settings.ts';
import { registration } from '#services/registration/main.ts';
import { scheduler } from '#services/scheduler/main.ts';
import { trtMonitor } from '#services/trt-monitor/main.ts';
import { users } from '#services/users/main.ts';

export const SERVICES: readonly Service[] = [
  registration,
  accessControl,
  anomaly,
  scheduler,
  fleetSim,
  users,
  trtMonitor,
  gateway,
];

export const summary = 'Runs one service of the stream, until SIGTERM';

const lineOf = ({ name, summary }: Service): string => `  ${name.padEnd(15)} ${summary}\n`;
const HOW_SETTINGS_ARE_GIVEN =
  'by flag, environment variable or as keys of a YAML file (--config); a flag goes before\na variable, a variable before the file';
const HOW_IT_RUNS = `A service waits for the run of its topics (mdr load makes one). It serves /metrics, /live, /started, /ready and
/status, writes log lines only for what a person should look at, and ends within --drain-seconds of SIGTERM.

Where neither settings nor environment name a Kafka it is that of mdr kafka up.

Exit codes: 0 drained after SIGTERM or SIGINT, 2 bad settings, 3 it could not go on.
`;

export const help = `Usage: mdr serve NAME [--config FILE] [settings]
       mdr serve NAME --help

${SERVICES.map(lineOf).join('')}
Any number of processes of one service share its partitions. 'mdr serve NAME --help' has the settings of that one
service too. Those of all are given ${HOW_SETTINGS_ARE_GIVEN}:

${describeSettings(COMMON_SETTINGS)}
${HOW_IT_RUNS}
Examples:
  mdr kafka up
  mdr topics
  mdr serve access-control --workers 2 --port 9465
  mdr serve gateway --help
  MDR_PREFIX=trial. mdr serve trt-monitor --config trt-monitor.yaml
`;

/** Of the service that is named: what it takes, and nothing of the others. */
export function helpOf([name]: readonly string[]): string {
  const service = SERVICES.find((one) => one.name === name);
  if (service === undefined) return help;
  const own =
    Object.keys(service.settings).length === 0
      ? 'It has no settings of its own.\n'
      : `Its own settings:\n\n${describeSettings(service.settings)}`;
  return `Usage: mdr serve ${name} [--config FILE] [settings]

${lineOf(service)}
Any number of processes share its partitions. Settings are given
${HOW_SETTINGS_ARE_GIVEN}.

${own}
Those of all services:

${describeSettings(COMMON_SETTINGS)}
${HOW_IT_RUNS}
Examples:
  mdr serve ${name}
  mdr serve ${name} --workers 2 --port 9465
  MDR_PREFIX=trial. mdr serve ${name} --config ${name}.yaml
`;
}

export async function run([name, ...argv]: string[]): Promise<number> {
  const service = SERVICES.find((one) => one.name === name);
  if (service === undefined) {
    const known = SERVICES.map((one) => one.name).join(', ');
    throw new MdrError(
      'USAGE',
      name === undefined ? `Name a service: ${known}` : `There is no service ${name}: ${known}`,
    );
  }
  return await runService(service, argv, await environmentWithKafka(argv));
}
