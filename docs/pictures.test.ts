import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { DASHBOARDS } from '#helm/dashboards/all.ts';
import { readPicture } from './test/picture.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const IMAGES = join(ROOT, 'docs/images');
/** What can be read on a page, and is not a few pixels. */
const SIDES = { min: 300, max: 4000 };
/** Lines and letters on white, with their smoothed edges, have more; a page on which nothing was drawn has a few. */
const COLOURS_MIN = 32;

const pages = [
  ...['README.md'],
  ...globSync('{docs,helm}/**/*.md', { cwd: ROOT, exclude: ['**/node_modules/**'] }),
].map((page) => ({ page, text: readFileSync(join(ROOT, page), 'utf8') }));
const shown = pages.flatMap(({ page, text }) =>
  [...text.matchAll(/\[([^\]]*)\]\(([^)]+\.png)\)/g)].map(([, says, path]) => ({
    page,
    says,
    picture: relative(ROOT, join(ROOT, dirname(page), path)),
  })),
);
const pictures = globSync('docs/images/*.png', { cwd: ROOT }).sort();

test('every picture that a page shows is there, and every one that is there is shown', () => {
  expect(shown.length).toBeGreaterThan(0);
  expect([...new Set(shown.map(({ picture }) => picture))].sort()).toEqual(pictures);
  for (const { says, page } of shown) expect(says, page).not.toBe('');
});

test.each(pictures)('%s is a whole PNG of a size to be read, with something on it', (picture) => {
  const { width, height, colours } = readPicture(join(ROOT, picture));
  for (const side of [width, height]) {
    expect(side).toBeGreaterThanOrEqual(SIDES.min);
    expect(side).toBeLessThanOrEqual(SIDES.max);
  }
  expect(colours).toBeGreaterThan(COLOURS_MIN);
});

describe('the pictures of dashboards', () => {
  test('are of those that there are, each by its name', () => {
    const names = globSync('dashboard-*.png', { cwd: IMAGES }).sort();
    expect(names).toEqual(
      Object.keys(DASHBOARDS)
        .map((name) => `dashboard-${name}.png`)
        .sort(),
    );
  });

  test.each(Object.entries(DASHBOARDS))('%s is shown on the page of dashboards under its title', (name, { title }) => {
    const links = shown.filter(({ picture }) => picture === `docs/images/dashboard-${name}.png`);
    expect(links.map(({ page }) => page)).toContain('docs/using/dashboards.md');
    for (const { says } of links) expect([title, title.replace(/^MDR: /, '')]).toContain(says);
    const page = pages.find((one) => one.page === 'docs/using/dashboards.md');
    expect(page?.text).toContain(`| ${title} |`);
  });
});

test.each<[string, (bytes: Buffer) => Buffer, RegExp]>([
  ['of another kind', (bytes) => bytes.subarray(1), /is no PNG/],
  ['cut off behind a chunk', (bytes) => bytes.subarray(0, -12), /is cut off/],
  [
    'with a byte changed',
    (bytes) => Buffer.concat([bytes.subarray(0, 200), Buffer.from([bytes[200] ^ 1]), bytes.subarray(201)]),
    /checksum of IDAT/,
  ],
])('a file %s is refused', (name, spoil, message) => {
  const path = join(tmpdir(), `mdr-picture-${process.pid}-${name.replaceAll(' ', '-')}.png`);
  writeFileSync(path, spoil(readFileSync(join(ROOT, pictures[0]))));
  expect(() => readPicture(path)).toThrow(message);
});
