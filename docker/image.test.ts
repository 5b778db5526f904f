import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, extname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** The image to be tested, as `make test-docker` builds it from the tree as it is. */
const IMAGE = process.env.MDR_IMAGE;
/** A plan of 5,000 meters takes seconds; at the least priority, with twenty processes before it, it took a minute. */
const CONTAINER_MS_MAX = 240_000;
/** Of a test: two containers, or one and the command line. */
const TEST_MS_MAX = 2 * CONTAINER_MS_MAX;
/** An image of 153 MB has a listing of 0.3 MB. */
const LISTING_BYTES_MAX = 8 * 1024 * 1024;
const CLOSED = ['--rm', '--read-only', '--cap-drop=ALL', '--security-opt=no-new-privileges', '--network=none'];
const { dependencies, devDependencies, imports, version } = JSON.parse(
  readFileSync(join(ROOT, 'package.json'), 'utf8'),
) as {
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
  imports: Record<string, string>;
  version: string;
};

type Loaded = { files: Map<string, string>; packages: Set<string> };

/** What is loaded from a file on: files of the tree, each with the one that loads it, and packages by name. */
function loadedFrom(file: string, loaded: Loaded = { files: new Map(), packages: new Set() }): Loaded {
  const text = readFileSync(join(ROOT, file), 'utf8')
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/(^|\s)\/\/.*$/gm, '$1');
  const statements = /(?:^|[;\n}])\s*(?:import|export)\s(?!type\b)[^'"`;()]*?\bfrom\s*'([^']+)'/g;
  const sideEffects = /(?:^|[;\n}])\s*import\s*'([^']+)'/g;
  const calls = /\bimport\(\s*'([^']+)'/g;
  const besideIt = /\bnew URL\(\s*'([^']+)'/g;
  const imported = [statements, sideEffects, calls].flatMap((one) => [...text.matchAll(one)].map(([, name]) => name));
  const paths = [...text.matchAll(besideIt)].map(([, path]) => relative(ROOT, join(ROOT, dirname(file), path)));
  for (const specifier of imported) {
    const path = pathOf(file, specifier);
    if (path !== undefined) paths.push(path);
    else if (!specifier.startsWith('node:')) loaded.packages.add(specifier.match(/^(@[^/]+\/)?[^/]+/)?.[0] as string);
  }
  for (const path of paths) {
    if (loaded.files.has(path) || !existsSync(join(ROOT, path))) continue;
    loaded.files.set(path, file);
    if (path.endsWith('.ts')) loadedFrom(path, loaded);
  }
  return loaded;
}

function pathOf(from: string, specifier: string): string | undefined {
  const own = Object.keys(imports).find((one) => specifier.startsWith(one.slice(0, -1)));
  if (own !== undefined) return imports[own].replace('*', specifier.slice(own.length - 1)).slice(2);
  return specifier.startsWith('.') ? relative(ROOT, join(ROOT, dirname(from), specifier)) : undefined;
}

const { files, packages } = loadedFrom('bin/mdr.ts');

test('what the command line loads of packages is installed without those for development, but what starts containers', () => {
  expect(packages).toContain('kafkajs');
  expect([...packages].filter((name) => !Object.hasOwn(dependencies, name))).toEqual(['testcontainers']);
});

test('what the command line loads of the tree is in the image', () => {
  const lines = readFileSync(join(ROOT, '.dockerignore'), 'utf8').split('\n');
  const kept = lines.filter((line) => line.startsWith('!')).map((line) => line.slice(1));
  const dropped = lines.filter((line) => /^[\w-]+\//.test(line));
  const isIn = (folders: readonly string[], file: string) => folders.some((one) => `${file}/`.startsWith(`${one}/`));
  const isTest = (file: string) => /(^|\/)test(\/|$)|\.test\.ts$/.test(file);
  expect(files.size).toBeGreaterThan(150);
  // A folder's own path, as of the root, says nothing.
  const missing = [...files].filter(
    ([file]) => file !== '' && (!isIn(kept, file) || isIn(dropped, file) || isTest(file)),
  );
  expect(missing.map(([file, by]) => `${file} (${by})`)).toEqual([]);
});

if (IMAGE === undefined) process.stderr.write('the image is not run: MDR_IMAGE names none (make test-docker)\n');

describe.skipIf(IMAGE === undefined)(
  'the image, its root read-only, with no capability',
  { timeout: TEST_MS_MAX },
  () => {
    const image = IMAGE as string;
    const docker = (...args: string[]) => spawnSync('docker', args, { encoding: 'utf8', timeout: CONTAINER_MS_MAX });
    const here = (...args: string[]) => spawnSync(join(ROOT, 'bin/mdr'), args, { encoding: 'utf8' });
    const run = (options: string[], ...args: string[]) => docker('run', ...CLOSED, ...options, image, ...args);

    test('plans a day, and says so as the command line does', () => {
      const day = ['plan', 'settlement-day', '--set', 'fleet.meters=5000', '--json', '--out'];
      const { status, stdout, stderr } = run(['--tmpfs=/reports'], ...day, '/reports/day');
      expect([0, 1, 4], stderr).toContain(status);
      const { run: _, ...report } = JSON.parse(stdout);
      const { run: __, ...expected } = JSON.parse(here(...day, join(ROOT, 'node_modules/.cache/plan')).stdout);
      expect(report).toEqual(expected);
    });

    test('names its version, and what it lacks where nothing can be written', () => {
      expect(run([], '--version').stdout).toBe(`${version}\n`);
      const { status, stderr } = run([], 'plan', 'settlement-day');
      expect([status, stderr]).toEqual([
        3,
        expect.stringContaining('cannot write the report to mdr-report/settlement-day'),
      ]);
    });

    test('has every service', () => {
      const { status, stdout, stderr } = run([], 'serve', '--help');
      expect([status, stderr, stdout]).toEqual([0, '', here('serve', '--help').stdout]);
    });

    test('is of nobody, on the Node that everything is tested on', () => {
      const script = 'JSON.stringify([process.version, process.getuid(), process.getgid(), process.getgroups()])';
      const { stdout } = run(['--entrypoint=/app/node_modules/node/bin/node'], '--print', script);
      expect(JSON.parse(stdout)).toEqual([`v${dependencies.node}`, 65_532, 65_532, [65_532]]);
    });

    describe('has in it', () => {
      let paths: Set<string>;
      beforeAll(() => {
        paths = pathsIn(image);
      });
      const own = () => [...paths].filter((path) => /^app\/(?!node_modules\/).*[^/]$/.test(path));
      const installed = (names: object) =>
        Object.keys(names).filter((name) => paths.has(`app/node_modules/${name}/package.json`));

      test('all that the command line loads of the tree, and no test, benchmark, script or page', () => {
        const loaded = [...files.keys()].filter((file) => extname(file) !== '');
        expect(loaded.filter((file) => !paths.has(`app/${file}`))).toEqual([]);
        const folders = new Set(own().map((path) => path.split('/')[1]));
        const known = ['bin', 'core', 'docs', 'fleet-sim', 'load-tests', 'schemas', 'services'];
        expect([...folders].filter((one) => extname(one) === '').sort()).toEqual(known);
        expect(own().filter((path) => /\/test\/|\.test\.ts$|\.sh$|\.md$/.test(path))).toEqual([]);
        expect(own().filter((path) => /^app\/load-tests\/(bench|faults|gateway|peers)\//.test(path))).toEqual([]);
      });

      test('the packages that it needs, and none for development', () => {
        expect(installed(dependencies)).toEqual(Object.keys(dependencies));
        expect(installed(devDependencies).filter((name) => !name.startsWith('@types/'))).toEqual([]);
      });

      test('one program, and no shell', () => {
        const programs = [...paths].filter((path) => /bin\/(node|npm|env|sh|bash|dash|busybox)$/.test(path));
        expect(programs.sort()).toEqual(['app/node_modules/.bin/node', 'app/node_modules/node/bin/node']);
      });
    });
  },
);

/** Every path in an image, of folders with `/` behind it, by a container of it that is never started. */
function pathsIn(image: string): Set<string> {
  const script = 'id=$(docker create "$1"); docker export "$id" | tar -t; docker rm "$id" >&2';
  const listed = spawnSync('bash', ['-euo', 'pipefail', '-c', script, '-', image], {
    encoding: 'utf8',
    maxBuffer: LISTING_BYTES_MAX,
    timeout: CONTAINER_MS_MAX,
  });
  expect(listed.status, listed.stderr).toBe(0);
  return new Set(listed.stdout.trimEnd().split('\n'));
}
