import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { DCC_ACCESS_CONTROL_BROKER } from '#core/identifiers.ts';
import { SERVICE_NODE_FLAGS } from '#services/platform/node-flags.ts';
import { RUNBOOKS } from './dashboards/grafana.ts';
import { exampleFile, exampleText } from './examples.ts';
import {
  CHART,
  documentsOf,
  EXAMPLES,
  HELM,
  helm,
  KUBE_VERSION,
  KUBERNETES_VALIDATE,
  type Manifest,
  podOf,
  render,
  valuesFile,
} from './test/chart.ts';

const work = mkdtempSync(join(tmpdir(), 'mdr-chart-'));
afterAll(() => rmSync(work, { recursive: true }));

const rendered = new Map<string, Manifest[]>();

function manifestsOf(example: string): Manifest[] {
  const known = rendered.get(example);
  if (known !== undefined) return known;
  const manifests = documentsOf(render(['-f', valuesFile(example)])).map(({ manifest }) => manifest);
  rendered.set(example, manifests);
  return manifests;
}

function named(example: string, kind: string, name: string): Manifest {
  const found = manifestsOf(example).find((one) => one.kind === kind && one.metadata.name === name);
  if (found === undefined) throw new Error(`no ${kind} ${name} in ${example}`);
  return found;
}

const podsOf = (example: string) =>
  manifestsOf(example).flatMap((manifest) => {
    const pod = podOf(manifest);
    return pod === undefined ? [] : [{ name: `${manifest.kind} ${manifest.metadata.name}`, pod }];
  });

describe.skipIf(HELM === undefined)('the chart', () => {
  test.each(EXAMPLES)('with ci/%s-values.yaml passes helm lint --strict', (example) => {
    const args = ['lint', '--strict', '--kube-version', KUBE_VERSION, CHART, '-f', valuesFile(example)];
    expect(helm(args)).toMatch(/1 chart\(s\) linted, 0 chart\(s\) failed/);
  });

  test.each(EXAMPLES)(
    'with ci/%s-values.yaml renders to its example (node helm/examples.ts writes it anew)',
    (example) => {
      expect(exampleText(example)).toBe(readFileSync(exampleFile(example), 'utf8'));
    },
  );

  test.skipIf(KUBERNETES_VALIDATE === undefined).each(['1.33.0', '1.37.0'])(
    'makes manifests that Kubernetes %s has schemas of, strictly',
    (version) => {
      const own = EXAMPLES.flatMap((example) => documentsOf(render(['-f', valuesFile(example)]))).filter(
        ({ manifest }) => !/\.(coreos\.com|sh)\//.test(manifest.apiVersion),
      );
      const file = join(work, `${version}.yaml`);
      writeFileSync(file, [...new Set(own.map(({ text }) => text.trim()))].join('\n---\n'));
      const run = spawnSync(KUBERNETES_VALIDATE as string, ['--strict', '-k', version, file], { encoding: 'utf8' });
      expect(run.stdout + run.stderr).not.toMatch(/error|invalid|fail/i);
      expect(run.status).toBe(0);
    },
  );
});

/** https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, but for Windows and fields that no pod here has. */
function restrictedFaults({ spec }: Manifest): string[] {
  const faults: string[] = [];
  const allowed = [
    'configMap',
    'csi',
    'downwardAPI',
    'emptyDir',
    'ephemeral',
    'persistentVolumeClaim',
    'projected',
    'secret',
  ];
  const expectThat = (isSo: boolean, fault: string) => {
    if (!isSo) faults.push(fault);
  };
  for (const field of ['hostNetwork', 'hostPID', 'hostIPC']) expectThat(!spec[field], field);
  for (const { name, ...kinds } of spec.volumes ?? [])
    expectThat(
      Object.keys(kinds).every((kind) => allowed.includes(kind)),
      `volume ${name}`,
    );
  const ofPod = spec.securityContext ?? {};
  expectThat(ofPod.sysctls === undefined, 'sysctls');
  for (const container of [...(spec.initContainers ?? []), ...spec.containers]) {
    const own = container.securityContext ?? {};
    expectThat(!own.privileged, 'privileged');
    expectThat(own.allowPrivilegeEscalation === false, 'allowPrivilegeEscalation');
    expectThat(own.capabilities?.drop?.includes('ALL') === true && own.capabilities.add === undefined, 'capabilities');
    expectThat((own.runAsNonRoot ?? ofPod.runAsNonRoot) === true, 'runAsNonRoot');
    expectThat((own.runAsUser ?? ofPod.runAsUser) !== 0, 'runAsUser');
    const seccomp = (own.seccompProfile ?? ofPod.seccompProfile)?.type;
    expectThat(seccomp === 'RuntimeDefault' || seccomp === 'Localhost', 'seccompProfile');
    expectThat(own.procMount === undefined || own.procMount === 'Default', 'procMount');
    for (const port of container.ports ?? []) expectThat(port.hostPort === undefined, 'hostPort');
  }
  return faults;
}

test('what the restricted Pod Security Standard forbids is found', () => {
  const container = { name: 'a', securityContext: { privileged: true }, ports: [{ hostPort: 1 }] };
  const spec = { hostNetwork: true, volumes: [{ name: 'v', hostPath: {} }], containers: [container] };
  expect(restrictedFaults({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' }, spec })).toEqual([
    'hostNetwork',
    'volume v',
    'privileged',
    'allowPrivilegeEscalation',
    'capabilities',
    'runAsNonRoot',
    'seccompProfile',
    'hostPort',
  ]);
});

describe.skipIf(HELM === undefined)('every pod', () => {
  const pods = () => EXAMPLES.flatMap(podsOf);

  test('passes the restricted Pod Security Standard, has a root that cannot be written and no token', () => {
    expect(pods().length).toBeGreaterThan(8 * 6);
    for (const { name, pod } of pods()) {
      expect([name, restrictedFaults(pod)]).toEqual([name, []]);
      expect(pod.spec.automountServiceAccountToken).toBe(false);
      for (const { securityContext } of pod.spec.containers) expect(securityContext.readOnlyRootFilesystem).toBe(true);
    }
  });

  test('asks for memory and processors and has a limit of memory, no lower than what it asks for', () => {
    const unit: Record<string, number> = { Mi: 1, Gi: 1024 };
    const mebibytes = (text: string) => Number.parseFloat(text) * unit[text.slice(-2)];
    for (const { pod } of pods()) {
      for (const { resources } of pod.spec.containers) {
        expect(resources.requests.cpu).toBeDefined();
        expect(mebibytes(resources.limits.memory)).toBeGreaterThanOrEqual(mebibytes(resources.requests.memory));
      }
    }
  });

  test('finds each file that its environment names among its mounts', () => {
    for (const example of EXAMPLES) {
      const { data } = named(example, 'ConfigMap', 'example-mdr-stream-clients');
      const files = Object.entries<string>(data).filter(([name]) => name.endsWith('_FILE'));
      for (const { name, pod } of podsOf(example)) {
        const [{ volumeMounts = [], env = [] }] = pod.spec.containers;
        const paths = volumeMounts.map(({ mountPath }: { mountPath: string }) => mountPath);
        for (const [, file] of files)
          expect([name, paths.filter((path: string) => file.startsWith(`${path}/`))]).toEqual([
            name,
            [expect.any(String)],
          ]);
        for (const { value } of env.filter(({ name: one }: { name: string }) => one.endsWith('_FILE')))
          expect(files.map(([, file]) => file)).toContain(value);
        const volumes = (pod.spec.volumes ?? []).map((volume: { name: string }) => volume.name);
        for (const mount of volumeMounts) expect([name, volumes]).toEqual([name, expect.arrayContaining([mount.name])]);
      }
    }
  });
});

describe.skipIf(HELM === undefined)('a service', () => {
  test('runs on the flags of Node that bin/mdr gives it', () => {
    const services = podsOf('gateway').filter(({ name }) => !name.endsWith('-topics'));
    expect(services).toHaveLength(8);
    for (const { pod } of services) {
      const { command, args } = pod.spec.containers[0];
      expect(command).toEqual(['/app/node_modules/node/bin/node', ...SERVICE_NODE_FLAGS, '/app/bin/mdr.ts']);
      expect(args).toEqual(['serve', pod.metadata.labels?.['app.kubernetes.io/component']]);
    }
  });

  test('has the whole of its restore to start, and its drain to end', () => {
    const rare = documentsOf(
      render(['-f', valuesFile('smallest'), '--set', 'startupSeconds=1205', '--set', 'drainSeconds=60']),
    ).flatMap(({ manifest }) => (manifest.kind === 'Deployment' ? [podOf(manifest) as Manifest] : []));
    expect(rare).toHaveLength(7);
    for (const { spec } of rare) {
      const { startupProbe, livenessProbe, readinessProbe } = spec.containers[0];
      expect(startupProbe.periodSeconds * startupProbe.failureThreshold).toBeGreaterThanOrEqual(1205);
      expect(startupProbe.httpGet.path).toBe('/started');
      expect(livenessProbe.httpGet.path).toBe('/live');
      expect(readinessProbe.httpGet.path).toBe('/ready');
      expect(spec.terminationGracePeriodSeconds).toBe(70);
    }
  });

  test('is started anew when what it reads at its start changes', () => {
    const checksum = (...set: string[]) =>
      documentsOf(render(['-f', valuesFile('mutual-tls'), ...set]))
        .map(({ manifest }) => manifest)
        .find(({ kind }) => kind === 'Deployment')?.spec.template.metadata.annotations['checksum/clients'];
    expect(checksum('--set', 'registry.password=another')).not.toBe(checksum());
    expect(checksum('--set', 'partitions=8')).not.toBe(checksum());
    expect(checksum('--set', 'serviceMonitor.enabled=true')).toBe(checksum());
  });

  test('has its settings as environment, lists and numbers as the service reads them', () => {
    const gateway = podOf(named('gateway', 'StatefulSet', 'example-mdr-stream-gateway'));
    const env = gateway?.spec.containers[0].env as { name: string; value?: string }[];
    const environmentOf = (name: string) => env.find((one) => one.name === name)?.value;
    expect(environmentOf('MDR_USER_REQUESTS_PER_SECOND')).toBe('50');
    expect(environmentOf('MDR_MHHS_USERS')).toBe('90-B3-D5-1F-30-01-00-01');
    const large = documentsOf(
      render(['-f', valuesFile('gateway'), '--set', 'gateway.settings.request-ids-max=40000000']),
    ).find(({ manifest }) => manifest.kind === 'StatefulSet');
    expect(large?.text).toMatch(/name: MDR_REQUEST_IDS_MAX\n\s+value: "40000000"/);
  });
});

describe.skipIf(HELM === undefined)('the gateway', () => {
  test('numbers its pods from 2, and each takes its number for its source', () => {
    const { spec } = named('gateway', 'StatefulSet', 'example-mdr-stream-gateway');
    expect(spec.ordinals.start).toBe(2);
    const source = spec.template.spec.containers[0].env.find(({ name }: { name: string }) => name === 'MDR_SOURCE');
    expect(source.valueFrom.fieldRef.fieldPath).toBe("metadata.labels['apps.kubernetes.io/pod-index']");
    expect(
      manifestsOf('gateway').some(({ kind, metadata }) => kind === 'Service' && metadata.name === spec.serviceName),
    ).toBe(true);
  });

  test('has in its folder of keys what it reads, of Users no private key', () => {
    const { spec } = named('gateway', 'StatefulSet', 'example-mdr-stream-gateway').spec.template;
    const keys = spec.volumes.find(({ name }: { name: string }) => name === 'gateway-keys').projected.sources;
    const paths = keys.flatMap(({ secret }: { secret: { items: { path: string }[] } }) =>
      secret.items.map(({ path }) => path),
    );
    const dcc = ['client.key', 'client.pem', 'signing.key', 'signing.pem'];
    const users = ['90-B3-D5-1F-30-01-00-01', '90-B3-D5-1F-30-01-00-02'];
    expect(paths.sort()).toEqual(
      [
        ...['ca.pem', 'pki.json', 'server.key', 'server.pem'],
        ...dcc.map((file) => `parties/${DCC_ACCESS_CONTROL_BROKER}/${file}`),
        ...users.flatMap((user) => ['client.pem', 'signing.pem'].map((file) => `parties/${user}/${file}`)),
      ].sort(),
    );
  });
});

test.skipIf(HELM === undefined)('rules and dashboards are those of their folders, as they are written', () => {
  const chart = join(work, 'mdr-stream');
  cpSync(CHART, chart, { recursive: true });
  for (const folder of ['rules', 'dashboards']) rmSync(join(chart, folder), { recursive: true, force: true });
  const withFiles = (files: Record<string, string>) => {
    for (const [path, text] of Object.entries(files)) {
      cpSync(join(CHART, 'Chart.yaml'), join(chart, path));
      writeFileSync(join(chart, path), text);
    }
    return documentsOf(render(['-f', valuesFile('monitoring')], chart)).map(({ manifest }) => manifest);
  };
  expect(withFiles({}).filter(({ kind }) => kind === 'PrometheusRule')).toEqual([]);
  const rules = `# Of TRTs.\ngroups:\n  - name: trt\n    rules:\n      - alert: Breach\n        expr: 'mdr_trt_breaches_total{srv!=""} > 0'\n        annotations: { summary: '{{ $labels.srv }} in breach' }\n`;
  const dashboard = `{\n  "title": "Stream",\n  "legend": "{{service}}"\n}\n`;
  const made = withFiles({ 'rules/trt.yaml': rules, 'dashboards/stream.json': dashboard });
  const rule = made.find(({ kind }) => kind === 'PrometheusRule');
  expect(rule?.metadata.name).toBe('example-mdr-stream-trt');
  expect(rule?.metadata.labels?.release).toBe('prometheus');
  expect(rule?.spec).toEqual(parse(rules));
  const configMap = made.find(({ metadata }) => metadata.name === 'example-mdr-stream-dashboard-stream');
  expect(configMap?.metadata.labels?.grafana_dashboard).toBe('1');
  expect(JSON.parse(configMap?.data['stream.json'])).toEqual(JSON.parse(dashboard));
});

test.skipIf(HELM === undefined)('alerts and dashboards link to where the runbooks are said to be', () => {
  const rendered = render(['-f', valuesFile('monitoring')]);
  expect(rendered).not.toContain(RUNBOOKS);
  for (const kind of ['PrometheusRule', 'ConfigMap']) {
    const texts = documentsOf(rendered).filter(({ manifest }) => manifest.kind === kind);
    expect(texts.map(({ text }) => text).join('\n')).toContain('https://runbooks.example/mdr-stream/Mdr');
  }
  const usual = render(['-f', valuesFile('smallest'), '--set', 'prometheusRule.enabled=true']);
  expect(usual).toContain(`runbook_url: ${RUNBOOKS}/Mdr`);
});

describe.skipIf(HELM === undefined)('scenarios', () => {
  const argsOf = (pod: Manifest | undefined): string[] => pod?.spec.containers[0].args;

  test('on the deployed services ask each of them, on the topics of the release', () => {
    const job = manifestsOf('scenarios').find(({ kind, metadata }) => kind === 'Job' && /-day-/.test(metadata.name));
    const args = argsOf(podOf(job as Manifest));
    expect(args).toContain('--prefix=mdr.');
    const given =
      args
        .find((arg) => arg.startsWith('--given='))
        ?.slice('--given='.length)
        .split(',') ?? [];
    const services = manifestsOf('scenarios').filter(
      ({ kind, spec }) => kind === 'Service' && spec.clusterIP === 'None',
    );
    expect(given.sort()).toEqual(services.map(({ metadata }) => `http://${metadata.name}:9464`).sort());
    expect(services.every(({ spec }) => spec.publishNotReadyAddresses === true)).toBe(true);
  });

  test('of their own each keep a report in a folder of the claim', () => {
    const cron = named('scenarios', 'CronJob', 'example-mdr-stream-nightly');
    const pod = podOf(cron);
    expect(argsOf(pod)).toEqual(
      expect.arrayContaining(['/scenario/nightly.yaml', '--out=/reports/$(POD_NAME)', '--duration=2h']),
    );
    expect(argsOf(pod).some((arg) => arg.startsWith('--prefix') || arg.startsWith('--given'))).toBe(false);
    const { data } = named('scenarios', 'ConfigMap', 'example-mdr-stream-scenario-nightly');
    expect(parse(data['nightly.yaml'])).toEqual({ name: 'nightly', fleet: { meters: 20000 } });
    expect(named('scenarios', 'PersistentVolumeClaim', 'example-mdr-stream-reports').metadata.annotations).toEqual({
      'helm.sh/resource-policy': 'keep',
    });
  });

  test('that are changed are other Jobs, as one cannot be changed', () => {
    const nameWith = (...set: string[]) =>
      documentsOf(render(['-f', valuesFile('scenarios'), ...set]))
        .map(({ manifest }) => manifest)
        .find(({ kind, metadata }) => kind === 'Job' && /-day-/.test(metadata.name))?.metadata.name;
    expect(nameWith('--set', 'scenarios[0].speed=48')).not.toBe(nameWith());
    expect(nameWith('--set', 'logLevel=info')).toBe(nameWith());
  });
});
