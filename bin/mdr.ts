import { ERRORS, formatFault, MdrError } from '#core/errors.ts';
import { version } from '#services/platform/version.ts';

/**
 * A subcommand: `run` takes the arguments behind its name and returns the exit code. `helpOf`: its help where that
 * depends on them.
 */
type Command = {
  summary: string;
  help: string;
  helpOf?(argv: readonly string[]): string;
  run(argv: string[]): Promise<number>;
};

const COMMANDS: Record<string, () => Promise<Command>> = {
  plan: () => import('./plan.ts'),
  ask: () => import('./ask.ts'),
  scenarios: () => import('./scenarios.ts'),
  matrix: () => import('./matrix.ts'),
  load: () => import('./load.ts'),
  serve: () => import('./serve.ts'),
  topics: () => import('./topics.ts'),
  kafka: () => import('./kafka.ts'),
  registrations: () => import('./registrations.ts'),
  users: () => import('./users.ts'),
  quarantine: () => import('./quarantine.ts'),
  audit: () => import('./audit.ts'),
  pki: () => import('./pki.ts'),
  decode: () => import('./decode.ts'),
};
const FAULTS_SHOWN_MAX = 50;

// A reader that has seen enough (`mdr ... | head`) is no failure: the exit code stays the command's.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') return;
  process.stderr.write(`mdr: cannot write to standard output: ${error.message}\n`);
  process.exit(ERRORS.COULD_NOT_RUN.exitCode);
});
process.exitCode = await main(process.argv.slice(2));

async function main([name, ...argv]: string[]): Promise<number> {
  if (name === '--version' || name === 'version') {
    process.stdout.write(`${version()}\n`);
    return 0;
  }
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    const asked = name === undefined ? undefined : argv[0];
    const command = asked === undefined ? undefined : await COMMANDS[asked]?.();
    process.stdout.write(command === undefined ? await overview() : helpText(command, argv.slice(1)));
    return name === undefined ? ERRORS.USAGE.exitCode : 0;
  }
  try {
    if (!Object.hasOwn(COMMANDS, name)) {
      throw new MdrError('USAGE', `There is no command ${name}; there are ${Object.keys(COMMANDS).join(', ')}`);
    }
    const command = await COMMANDS[name]();
    if (argv.includes('--help') || argv.includes('-h')) {
      process.stdout.write(helpText(command, argv));
      return 0;
    }
    return await command.run(argv);
  } catch (error) {
    return explain(error, name);
  }
}

function helpText({ help, helpOf }: Command, argv: readonly string[]): string {
  return helpOf?.(argv) ?? help;
}

/** Says what went wrong and what can be done. Anything but an operating error is a bug, shown with its stack. */
function explain(error: unknown, command: string): number {
  if (isUsageError(error)) return explain(new MdrError('USAGE', error.message), command);
  if (!(error instanceof MdrError)) {
    process.stderr.write(`mdr ${command}: this is a bug in mdr\n${(error as Error).stack ?? String(error)}\n`);
    return ERRORS.COULD_NOT_RUN.exitCode;
  }
  const shown = error.faults.slice(0, FAULTS_SHOWN_MAX).map((fault) => `  ${formatFault(fault)}\n`);
  const more = error.faults.length - shown.length;
  process.stderr.write(`mdr ${command}: ${error.message}\n${shown.join('')}`);
  if (more > 0) process.stderr.write(`  and ${more} more\n`);
  const asked = Object.hasOwn(COMMANDS, command) ? `${command} --help` : '--help';
  const help = error.code === 'USAGE' ? `Run 'mdr ${asked}' to see what it takes.` : ERRORS[error.code].help;
  process.stderr.write(`${help}\n`);
  return error.exitCode;
}

/** What `parseArgs` of Node throws for options that a command does not have. */
function isUsageError(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS');
}

async function overview(): Promise<string> {
  const rows = await Promise.all(
    Object.entries(COMMANDS).map(async ([name, load]) => `  ${name.padEnd(13)} ${(await load()).summary}\n`),
  );
  return `mdr: will the Target Response Times of MP162 hold when every meter is read daily?

Usage: mdr COMMAND [options]

${rows.join('')}
Start with:
  mdr plan settlement-day     one day of 100,000 meters, with a report to open in a browser
  mdr COMMAND --help          what a command takes, with examples

Exit codes: 0 done, thresholds hold; 1 a threshold is broken; 2 bad input; 3 could not run; 4 undecided.
`;
}
