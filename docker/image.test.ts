import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const IMAGE = process.env.MDR_IMAGE ?? 'mdr-stream:local';
const { dependencies, imports, version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  dependencies: Record<string, string>;
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

test('what the command line loads of packages is installed without those for development', () => {
  expect(packages).toContain('kafkajs');
  expect([...packages].filter((name) => !Object.hasOwn(dependencies, name))).toEqual([]);
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

const hasImage = spawnSync('docker', ['image', 'inspect', IMAGE]).status === 0;
if (!hasImage) process.stderr.write(`the image is not run: no Docker engine, or no ${IMAGE} (docker/build-local.sh)\n`);

describe.skipIf(!hasImage)('the image, as nobody, with a root that cannot be written, without any capability', () => {
  const docker = (args: string[], ...more: string[]) =>
    spawnSync(
      'docker',
      [
        'run',
        '--rm',
        '--read-only',
        '--cap-drop=ALL',
        '--security-opt=no-new-privileges',
        '--network=none',
        ...more,
        IMAGE,
        ...args,
      ],
      { encoding: 'utf8' },
    );

  test('plans a day, and says so as the command line does', () => {
    const { status, stdout, stderr } = docker(
      ['plan', 'settlement-day', '--set', 'fleet.meters=5000', '--json', '--out', '/reports/day'],
      '--tmpfs=/reports',
    );
    expect([0, 1, 4], stderr).toContain(status);
    const report = JSON.parse(stdout) as { verdict: string };
    const here = spawnSync(
      join(ROOT, 'bin/mdr'),
      [
        'plan',
        'settlement-day',
        '--set',
        'fleet.meters=5000',
        '--json',
        '--out',
        join(ROOT, 'node_modules/.cache/plan'),
      ],
      { encoding: 'utf8' },
    );
    expect({ ...report, run: undefined }).toEqual({ ...JSON.parse(here.stdout), run: undefined });
  });

  test('names its version, and what it lacks where nothing can be written', () => {
    expect(docker(['--version']).stdout).toBe(`${version}\n`);
    const { status, stderr } = docker(['plan', 'settlement-day']);
    expect([status, stderr]).toEqual([3, expect.stringMatching(/EROFS|EACCES/)]);
  });

  test('knows every service', () => {
    const { status, stdout } = docker(['serve', '--help']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/trt-monitor/);
  });

  test('belongs to nobody and has no shell', () => {
    const { stdout } = spawnSync('docker', ['image', 'inspect', '--format', '{{.Config.User}}', IMAGE], {
      encoding: 'utf8',
    });
    expect(stdout.trim()).toBe('65532:65532');
    for (const shell of ['/bin/sh', '/bin/bash', '/usr/bin/sh']) {
      const run = spawnSync('docker', ['run', '--rm', '--network=none', '--entrypoint', shell, IMAGE, '-c', 'true'], {
        encoding: 'utf8',
      });
      expect([shell, run.status]).toEqual([shell, 127]);
    }
  });
});
