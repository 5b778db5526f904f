import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { documentsOf, EXAMPLES, render, valuesFile } from './test/chart.ts';

const DIRECTORY = fileURLToPath(new URL('./examples', import.meta.url));
/** What comes from files beside the templates is held by a test of its own. */
const FROM_FILES = ['templates/dashboards.yaml', 'templates/prometheusrule.yaml'];
const SMALLEST = 'smallest';

export function exampleFile(example: string): string {
  return join(DIRECTORY, `${example}.yaml`);
}

/** What the chart makes of an example: of the smallest all, of the others what the smallest does not have the same. */
export function exampleText(example: string): string {
  const documentsIn = (name: string) =>
    documentsOf(render(['-f', valuesFile(name)])).filter(({ source }) => !FROM_FILES.includes(source));
  const usual =
    example === SMALLEST ? new Set<string>() : new Set(documentsIn(SMALLEST).map(({ text }) => text.trim()));
  const texts = documentsIn(example)
    .map(({ text }) => text.trim())
    .filter((text) => !usual.has(text));
  const head = example === SMALLEST ? '' : ', but for what is as in smallest.yaml';
  return `# What ci/${example}-values.yaml renders to${head}. Written by: node helm/examples.ts\n---\n${texts.join('\n---\n')}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(DIRECTORY, { recursive: true });
  for (const example of EXAMPLES) writeFileSync(exampleFile(example), exampleText(example));
}
