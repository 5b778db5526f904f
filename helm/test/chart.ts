import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';

export const CHART = fileURLToPath(new URL('../mdr-stream', import.meta.url));
const CACHE = fileURLToPath(new URL('../../node_modules/.cache', import.meta.url));
/** A version that the chart takes; helm by itself would say one that it does not. */
export const KUBE_VERSION = '1.33';

/** helm as `.ci/run` installs it, else the machine's; undefined where there is none. */
export const HELM = found(join(CACHE, 'bin/helm'), 'helm');
/** PyPI's kubernetes-validate as `.ci/run` installs it; undefined where there is none. */
export const KUBERNETES_VALIDATE = found(join(CACHE, 'kubernetes-validate/bin/kubernetes-validate'));

if (HELM === undefined)
  process.stderr.write('the tests of the chart are skipped: no helm (go install helm.sh/helm/v3/cmd/helm@v3.22.0)\n');
if (KUBERNETES_VALIDATE === undefined)
  process.stderr.write('manifests are not held against the schemas of Kubernetes: no kubernetes-validate (PyPI)\n');

function found(installed: string, command?: string): string | undefined {
  if (existsSync(installed)) return installed;
  return command !== undefined && spawnSync(command, ['version']).status === 0 ? command : undefined;
}

/** Names of `ci/NAME-values.yaml`, one a feature. */
export const EXAMPLES = globSync('ci/*-values.yaml', { cwd: CHART })
  .map((file) => basename(file, '-values.yaml'))
  .sort();

export function valuesFile(example: string): string {
  return join(CHART, 'ci', `${example}-values.yaml`);
}

/** What `helm template` writes. Throws with its message where it refuses. */
export function render(args: readonly string[], chart = CHART): string {
  return helm(['template', 'example', chart, '--kube-version', KUBE_VERSION, ...args]);
}

export function helm(args: readonly string[]): string {
  return execFileSync(HELM as string, args, { encoding: 'utf8', stdio: 'pipe', maxBuffer: 1 << 26 });
}

export type Manifest = {
  apiVersion: string;
  kind: string;
  metadata: { name: string; labels?: Record<string, string>; annotations?: Record<string, string> };
  // Each kind has a shape of its own.
  // biome-ignore lint/suspicious/noExplicitAny: read by tests that name the fields
  [field: string]: any;
};

export type Document = { source: string; text: string; manifest: Manifest };

/** The documents of a rendering, each with the template that it is from. Throws where one is no YAML. */
export function documentsOf(rendered: string): Document[] {
  return rendered
    .split(/^---\n/m)
    .filter((text) => text.trim() !== '')
    .flatMap((text) => {
      const [parsed] = parseAllDocuments(text);
      if (parsed === undefined) throw new Error('an empty document');
      if (parsed.errors.length > 0) throw parsed.errors[0];
      const manifest = parsed.toJS() as Manifest | null;
      const source = /^# Source: mdr-stream\/(\S+)/m.exec(text)?.[1] ?? '';
      return manifest === null ? [] : [{ source, text, manifest }];
    });
}

/** The pod template of a manifest that makes pods. */
export function podOf({ kind, spec }: Manifest): Manifest | undefined {
  if (kind === 'CronJob') return spec.jobTemplate.spec.template;
  return ['Deployment', 'StatefulSet', 'Job', 'DaemonSet'].includes(kind) ? spec.template : undefined;
}
