import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const FOLDERS = ['bin', 'core', 'schemas', 'fleet-sim', 'services', 'load-tests', 'helm'];

type Source = { path: string; text: string; imports: string[] };

/** Specifiers of static imports, re-exports, side-effect imports and dynamic imports of a literal. */
function importsOf(text: string): string[] {
  const code = withoutComments(text);
  const statements = /(?:^|[;\n}])\s*(?:import|export)\b[^'"`;()]*?\bfrom\s*(['"])([^'"]+)\1/g;
  const sideEffects = /(?:^|[;\n}])\s*import\s*(['"])([^'"]+)\1/g;
  const dynamic = /\bimport(?:\.meta\.resolve)?\s*\(\s*(['"`])([^'"`$]+)\1/g;
  return [statements, sideEffects, dynamic].flatMap((pattern) => [...code.matchAll(pattern)].map((match) => match[2]));
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1');
}

function sourcesIn(folder: string): Source[] {
  let names: string[];
  try {
    names = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  return names
    .filter((name) => name.endsWith('.ts') && !name.split('/').includes('node_modules'))
    .map((name) => {
      const path = `${folder}/${name}`;
      const text = readFileSync(join(ROOT, path), 'utf8');
      return { path, text, imports: importsOf(text).map((specifier) => resolved(path, specifier)) };
    });
}

/** A path inside the project, or the package's specifier as written. */
function resolved(from: string, specifier: string): string {
  if (specifier.startsWith('#')) return specifier.slice(1);
  if (specifier.startsWith('.')) return relative(ROOT, join(ROOT, dirname(from), specifier));
  return specifier;
}

function folderOf(path: string): string | undefined {
  return FOLDERS.find((folder) => path.startsWith(`${folder}/`));
}

function isTest(path: string): boolean {
  return path.endsWith('.test.ts') || path.includes('/test/');
}

function serviceOf(path: string): string | undefined {
  return /^services\/([^/]+)\//.exec(path)?.[1];
}

/** `fleet-sim/service/` and files named service are wired to the platform; the models beside them are pure. */
function isFleetService(path: string): boolean {
  return /^fleet-sim\/(service\/|(service-)?main\.ts$)/.test(path);
}

const sources = FOLDERS.flatMap(sourcesIn);
const shipped = sources.filter(({ path }) => !isTest(path));

function breaches(of: Source[], isForbidden: (imported: string, source: Source) => boolean): string[] {
  return of.flatMap((source) =>
    source.imports
      .filter((imported) => isForbidden(imported, source))
      .map((imported) => `${source.path} imports ${imported}`),
  );
}

function inFolder(folder: string, of: Source[] = shipped): Source[] {
  return of.filter(({ path }) => folderOf(path) === folder);
}

const isPackage = (imported: string): boolean => folderOf(imported) === undefined;
const isNamed = (imported: string, name: string): boolean => imported === name || imported.startsWith(`${name}/`);

describe('the scan', () => {
  test('finds every form of import and no import in a comment', () => {
    const text = `import a from './a.ts';\nimport type {\n  B,\n} from "#core/b.ts";\nexport { c } from './c.ts';
import './d.ts';\nconst e = await import('./e.ts');\n// import f from './f.ts';\n/* import g from './g.ts'; */
import json from './h.json' with { type: 'json' };\nimport * as i from 'i';`;
    expect(importsOf(text).sort()).toEqual(['#core/b.ts', './a.ts', './c.ts', './d.ts', './e.ts', './h.json', 'i']);
  });

  test('sees the tree', () => {
    expect(inFolder('core').map(({ path }) => path)).toContain('core/access-control.ts');
    expect(inFolder('core').flatMap(({ imports }) => imports)).toContain('core/matrix.ts');
  });
});

describe('imports point one way', () => {
  test('core imports nothing but core', () => {
    expect(breaches(inFolder('core'), (imported) => folderOf(imported) !== 'core')).toEqual([]);
  });

  test('schemas import core only, and read their own files', () => {
    const isOther = (imported: string): boolean =>
      imported !== 'node:fs' && !['core', 'schemas'].includes(folderOf(imported) ?? 'package');
    expect(breaches(inFolder('schemas'), isOther)).toEqual([]);
  });

  test('the models of fleet-sim import core and schemas only, and no packages', () => {
    const models = inFolder('fleet-sim').filter(({ path }) => !isFleetService(path));
    expect(
      breaches(models, (imported) => !['core', 'schemas', 'fleet-sim'].includes(folderOf(imported) ?? 'package')),
    ).toEqual([]);
    expect(breaches(models, isFleetService)).toEqual([]);
  });

  test('the service of fleet-sim reaches no service but the platform', () => {
    const service = inFolder('fleet-sim').filter(({ path }) => isFleetService(path));
    const isOther = (imported: string): boolean =>
      folderOf(imported) === 'services' && serviceOf(imported) !== 'platform';
    expect(breaches(service, isOther)).toEqual([]);
  });

  test('services never import each other: they meet in topics', () => {
    const isOther = (imported: string, { path }: Source): boolean => {
      const service = serviceOf(imported);
      return service !== undefined && service !== 'platform' && service !== serviceOf(path);
    };
    expect(breaches(inFolder('services', sources), isOther)).toEqual([]);
  });

  test('the load tests are imported by nobody but bin', () => {
    const others = sources.filter(({ path }) => !['bin', 'load-tests'].includes(folderOf(path) ?? ''));
    expect(breaches(others, (imported) => folderOf(imported) === 'load-tests')).toEqual([]);
  });

  test('dashboards know the metrics, and nothing else of the services', () => {
    const isOther = (imported: string): boolean =>
      ['bin', 'core', 'schemas', 'fleet-sim', 'services', 'load-tests'].includes(folderOf(imported) ?? '') &&
      imported !== 'services/platform/metrics/catalogue.ts';
    const dashboards = shipped.filter(({ path }) => path.startsWith('helm/dashboards/'));
    expect(dashboards).not.toEqual([]);
    expect(breaches(dashboards, isOther)).toEqual([]);
    expect(breaches(dashboards, isPackage)).toEqual([]);
  });

  test('bin is imported by nobody but bin', () => {
    const others = shipped.filter(({ path }) => folderOf(path) !== 'bin');
    expect(breaches(others, (imported) => folderOf(imported) === 'bin')).toEqual([]);
  });
});

describe('the platform alone touches', () => {
  const outside = shipped.filter(({ path }) => serviceOf(path) !== 'platform');

  test('kafkajs and what belongs to it', () => {
    expect(breaches(outside, (imported) => isNamed(imported, 'kafkajs') || imported.startsWith('@kafkajs/'))).toEqual(
      [],
    );
  });

  test('Piscina, apart from the load tests', () => {
    const others = outside.filter(({ path }) => folderOf(path) !== 'load-tests');
    expect(breaches(others, (imported) => isNamed(imported, 'piscina'))).toEqual([]);
  });

  test('timers and the wall clock', () => {
    const clock = /\bDate\.now\b|\bnew Date\(\)|\bset(?:Timeout|Interval|Immediate)\s*\(/;
    expect(outside.filter(({ text }) => clock.test(withoutComments(text))).map(({ path }) => path)).toEqual([]);
    expect(breaches(outside, (imported) => /^(node:)?timers/.test(imported))).toEqual([]);
  });
});

test('core has no dates, no randomness of its own and nothing of Node', () => {
  const impure = /\bDate\b|\bMath\.random\b|\bnode:|\bprocess\.|\bperformance\.|\bcrypto\./;
  const code = inFolder('core').map(({ path, text }) => ({ path, found: impure.exec(withoutComments(text))?.[0] }));
  expect(code.filter(({ found }) => found !== undefined)).toEqual([]);
  expect(breaches(inFolder('core'), isPackage)).toEqual([]);
});
