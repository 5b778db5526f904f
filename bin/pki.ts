import { readFile } from 'node:fs/promises';
import { relative } from 'node:path';
import { parseArgs } from 'node:util';
import { type Fault, formatFault, MdrError } from '#core/errors.ts';
import { parseDeviceId } from '#core/identifiers.ts';
import { pkiDirectory } from '#services/gateway/pki/places.ts';
import { readWorld, type World } from '#services/gateway/world.ts';
import { nowMs } from '#services/platform/clock.ts';

export const summary = 'Makes a test CA with the keys and certificates of Users, the DCC and devices';

export const help = `Usage: mdr pki [--world WORLD] [--seed N] [--keys DIR] [--overwrite]
       mdr pki device EUI... [--keys DIR]

Makes a folder of keys and certificates for tests, all P-256: a CA; a server's for localhost, 127.0.0.1 and ::1; of each
User of the world, and of the DCC, a client's for TLS, one for signing and one for key agreement. 'device' adds the key
agreement certificate of devices. Every key is made from the seed: the same seed, the same keys. So it is for tests only.

  --world WORLD   the Users, and the seed, are those of this world file (the example world unless given)
  --seed N        another seed than the world's (settings.seed)
  --keys DIR      the folder (MDR_PKI_DIR, or .pki beside the package)
  --overwrite     replaces a folder that this command made
  --help

In the folder: ca.pem; server.pem; parties/EUI/client.pem, signing.pem, key-agreement.pem; devices/EUI.pem; beside each its
private key as .key, readable by you alone; and pki.json with the seed.

Exit codes: 0 done, 2 bad input, 3 could not run.

Examples:
  mdr pki
  mdr pki --world world.yaml --keys keys
  mdr pki device 00-DB-12-34-56-78-90-A0
  openssl x509 -in .pki/server.pem -noout -text
`;

export async function run(argv: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      world: { type: 'string' },
      seed: { type: 'string' },
      keys: { type: 'string' },
      overwrite: { type: 'boolean', default: false },
    },
  });
  const directory = values.keys ?? pkiDirectory();
  const [action, ...euis] = positionals;
  if (action === 'device') return await addDevices(directory, euis);
  if (action !== undefined) throw new MdrError('USAGE', `device or nothing, not ${action}`);
  const seed = values.seed === undefined ? undefined : seedOf(values.seed);
  const world = await worldOf(values.world);
  const pki = {
    seed: seed ?? world.seed,
    users: world.users.map(({ name, eui, roles }) => ({ name, eui, roles: Object.keys(roles) })),
  };
  const { createKeyFolder } = await keyFolder();
  await createKeyFolder(directory, pki, nowMs(), values.overwrite);
  process.stdout.write(
    `Keys of seed ${pki.seed} are in ${shown(directory)}: a CA, a server, the DCC and ${pki.users.length} Users\n`,
  );
  for (const { name, eui, roles } of pki.users)
    process.stdout.write(`  ${eui}  ${roles.join(', ').padEnd(6)}  ${name}\n`);
  return 0;
}

// Loaded when it is needed: the library behind it takes longer than all else, and `mdr --help` reads every command.
const keyFolder = () => import('#services/gateway/pki/key-folder.ts');
const EXAMPLE_WORLD = new URL('../docs/using/examples/world.yaml', import.meta.url);
const SEED_MAX = 4_294_967_295;

async function addDevices(directory: string, euis: readonly string[]): Promise<number> {
  const faults: Fault[] = euis
    .filter((eui) => parseDeviceId(eui) === undefined)
    .map((eui) => ({ path: 'EUI', value: eui, expected: 'an EUI-64 as 00-DB-12-34-56-78-90-A0' }));
  if (euis.length === 0) faults.push({ path: 'EUI', expected: 'at least one device' });
  if (faults.length > 0) throw new MdrError('USAGE', 'mdr pki device cannot be run so', faults);
  const { addDevice } = await keyFolder();
  for (const eui of euis) {
    const file = await addDevice(directory, parseDeviceId(eui) as string, nowMs());
    process.stdout.write(`${shown(file)}\n`);
  }
  return 0;
}

function seedOf(text: string): number {
  const seed = Number(text);
  if (/^\d{1,10}$/.test(text) && seed <= SEED_MAX) return seed;
  throw new MdrError('USAGE', 'mdr pki cannot be run so', [
    { path: '--seed', value: text, expected: `a whole number from 0 to ${SEED_MAX}` },
  ]);
}

async function worldOf(file: string | undefined): Promise<World> {
  const text = await readFile(file ?? EXAMPLE_WORLD, 'utf8').catch((error: NodeJS.ErrnoException) => {
    const expected = `a world file that can be read (${error.code})`;
    throw new MdrError('INPUT_UNREADABLE', `${file} cannot be read`, [{ path: '--world', expected }]);
  });
  const world = readWorld(file ?? 'the example world', text);
  for (const fault of world.warnings) process.stderr.write(`mdr pki: ${formatFault(fault)}\n`);
  return world;
}

function shown(path: string): string {
  const near = relative(process.cwd(), path);
  return near.startsWith('..') || near === '' ? path : near;
}
