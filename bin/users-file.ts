import { type Fault, MdrError } from '#core/errors.ts';
import { checkUsers, type Notes, userOf } from '#services/gateway/world.ts';
import { USER, type UserDocument, WORLD_FORMATS } from '#services/gateway/world-schema.ts';
import { compileSchema, formatPath, parseYaml, schemaFaults } from '#services/platform/validated-yaml.ts';
import type { AdministeredUser } from '#services/registration/user-records.ts';

type Path = readonly (string | number)[];
/** Users to be, and how to name a fault of one of them. */
export type ReadUsers = { users: AdministeredUser[]; faultAt(path: Path, expected: string): Fault };
type Document = { users: (UserDocument & { delivery?: string })[] };

export const COLLECT = 'collect';

/** Options of one User, beside --role. */
export const USER_FLAGS = {
  name: { type: 'string' },
  eui: { type: 'string' },
  category: { type: 'string' },
  acceded: { type: 'string' },
  uept: { type: 'string', multiple: true },
  security: { type: 'string', multiple: true },
  privacy: { type: 'string', multiple: true },
  'adt-declared': { type: 'string' },
  threshold: { type: 'string', multiple: true },
  delivery: { type: 'string' },
} as const;

const FORMATS = {
  ...WORLD_FORMATS,
  delivery: {
    expected: `an http or https URL, or ${COLLECT}`,
    accepts: (text: string) => text === COLLECT || (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)),
  },
};
const DELIVERY = { type: 'string', format: 'delivery', description: 'Where its responses go.' } as const;
const SCHEMA = compileSchema(
  {
    type: 'object',
    additionalProperties: false,
    required: ['users'],
    properties: {
      users: { type: 'array', items: { ...USER, properties: { ...USER.properties, delivery: DELIVERY } } },
    },
  },
  FORMATS,
);

/** Reads a file of Users. Throws INPUT_INVALID with every fault at once. */
export function readUsersFile(file: string, text: string): ReadUsers {
  const parsed = parseYaml(text, file, { scalars: 'text' });
  if ('faults' in parsed) throw new MdrError('INPUT_INVALID', `${file} is not YAML that can be read`, parsed.faults);
  return usersOf(parsed.value, file, (path) => ({ file, line: parsed.lineOf(path) }));
}

/** The same of one User that options describe. Throws INPUT_INVALID. */
export function readUserFlags(flags: Readonly<Record<string, unknown>>): ReadUsers {
  const list = (name: string) => (flags[name] as string[] | undefined) ?? [];
  const pairs = (name: string) => list(name).map((text) => splitAt(text, '=', `--${name}`));
  const roles: Record<string, string[]> = {};
  for (const [role, mpid] of pairs('role')) roles[role] = [...(roles[role] ?? []), mpid];
  const { name, eui, category, acceded, delivery } = flags;
  const user = {
    ...given({ name, eui, category, delivery }),
    roles,
    gates: {
      ...given({ accededOn: acceded, adtDeclaredOn: flags['adt-declared'] }),
      ueptOn: Object.fromEntries(pairs('uept')),
      securityAssessments: list('security'),
      privacyAssessments: list('privacy'),
    },
    anomalyThresholds: pairs('threshold').map(([srv, limit]) => {
      const [count, periodSeconds] = splitAt(limit, '/', '--threshold');
      return { srv, count, periodSeconds };
    }),
  };
  return usersOf({ users: [user] }, 'The options', () => ({}));
}

function usersOf(value: unknown, source: string, placeOf: (path: Path) => Partial<Fault>): ReadUsers {
  const shape = schemaFaults(SCHEMA, value).map(({ path, fault }): Fault => ({ ...placeOf(path), ...fault }));
  if (shape.length > 0) throw new MdrError('INPUT_INVALID', `${source} cannot be read as Users`, shape);
  const { users } = value as Document;
  const faultAt = (path: Path, expected: string): Fault => ({ ...placeOf(path), path: formatPath(path), expected });
  const faults: Fault[] = [];
  const notes: Notes = {
    faults,
    warnings: [],
    fault: (path, expected) => faults.push(faultAt(path, expected)),
    warn: () => {},
  };
  checkUsers(users, notes);
  if (faults.length > 0) throw new MdrError('INPUT_INVALID', `${source} contradicts itself`, faults);
  return {
    users: users.map(({ delivery, ...user }) => ({
      ...userOf(user),
      ...(delivery === undefined || delivery === COLLECT ? {} : { deliveryUrl: delivery }),
    })),
    faultAt,
  };
}

function splitAt(text: string, separator: string, option: string): [string, string] {
  const at = text.indexOf(separator);
  if (at < 1) throw new MdrError('USAGE', `${option} ${text} has no ${separator} in it`);
  return [text.slice(0, at), text.slice(at + 1)];
}

function given(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
