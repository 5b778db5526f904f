import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from 'vitest';
import { FACT } from '#core/access-control.ts';
import { describeWithKafka } from '#services/platform/test/with-kafka.ts';
import { type AuditOptions, type AuditReport, runAudit } from './audit.ts';
import { FAULTS, type FaultKind, type WarningKind } from './findings.ts';
import { renderAudit } from './summary.ts';
import {
  ALPHA,
  BETA,
  createWriter,
  deviceOf,
  HOUR_MS,
  mpanIn,
  PARTITIONS,
  RECEIVED_MS,
  WALL_MS,
  type Written,
  WrittenRun,
} from './test/written-run.ts';

const MDR = fileURLToPath(new URL('../../bin/mdr', import.meta.url));
const TRT_24_H = 86_400;
const OWN = mpanIn(0, 0);
const SWITCHED = mpanIn(0, 1);
const SUSPENDED = mpanIn(0, 2);
const ELSEWHERE = mpanIn(1, 0);

type Clean = WrittenRun & { requests: Record<string, Written> };

/** A run in which nothing is wrong, with every way that a request may go. */
function cleanRun(): Clean {
  const run = new WrittenRun();
  run.run();
  run.user(ALPHA, 'ALPH', { anomalyThresholds: [{ srv: '4.1.1', count: 2, periodSeconds: 86_400 }] });
  run.user(BETA, 'BETA');
  run.registration(OWN, [['ALPH', -500]]);
  run.registration(ELSEWHERE, [['ALPH', -500]]);
  run.registration(SWITCHED, [
    ['ALPH', -500],
    ['BETA', 0],
  ]);
  run.registration(SUSPENDED, [['ALPH', -500]]);
  run.meter(OWN, deviceOf(1));
  run.meter(SWITCHED, deviceOf(2));
  run.meter(SUSPENDED, deviceOf(3), { status: 'Suspended' });
  run.meter(ELSEWHERE, deviceOf(4));

  const requests: Record<string, Written> = {
    read: run.request('scheduled', OWN, deviceOf(1), ALPHA, 1n),
    outgoing: run.request('scheduled', SWITCHED, deviceOf(2), ALPHA, 2n),
    incoming: run.request('scheduled', SWITCHED, deviceOf(2), BETA, -3n, { dataDay: 0 }),
    foreign: run.request('scheduled', SWITCHED, deviceOf(2), BETA, 4n),
    suspended: run.request('scheduled', SUSPENDED, deviceOf(3), ALPHA, 5n),
    late: run.request('scheduled', OWN, deviceOf(1), ALPHA, 6n),
    elsewhere: run.request('scheduled', ELSEWHERE, deviceOf(4), ALPHA, 7n),
    open: run.request('scheduled', OWN, deviceOf(1), ALPHA, 8n, { receivedMs: RECEIVED_MS + 20 * HOUR_MS }),
  };
  for (const name of ['read', 'outgoing', 'incoming', 'late', 'elsewhere', 'open']) run.accept(requests[name]);
  run.answer(requests.read, 'I0', 60_000);
  run.answer(requests.outgoing, 'E21', 60_000);
  run.answer(requests.incoming, 'I0', 60_000);
  run.refuse(requests.foreign, FACT.notAppointed);
  run.refuse(requests.suspended, FACT.deviceStatus);
  run.answer(requests.late, 'I0', 25 * HOUR_MS);
  run.breach(requests.late, TRT_24_H);
  run.answer(requests.elsewhere, 'I0', 60_000);

  const registers = { srv: 'SRV_4_1_1', windowStartMs: RECEIVED_MS, windowEndMs: RECEIVED_MS };
  const checks: number[] = [];
  for (const [name, counter] of [
    ['first', 20n],
    ['second', 21n],
    ['held', 22n],
    ['released', 23n],
    ['deleted', 25n],
  ] as const) {
    requests[name] = run.request('on-demand', OWN, deviceOf(1), ALPHA, counter, registers);
    checks.push(run.check(requests[name]));
  }
  requests.inventory = run.request('on-demand', OWN, deviceOf(1), ALPHA, 24n, { ...registers, srv: 'SRV_8_2' });
  run.check(requests.inventory);
  run.answer(requests.inventory, 'I0', 500, { source: 'ANOMALY' });
  run.deliver(requests.first, checks[0]);
  run.deliver(requests.second, checks[1]);
  run.answer(requests.first, 'I0', 60_000);
  run.answer(requests.second, 'I0', 60_000);
  run.hold(requests.held);
  run.hold(requests.released);
  run.hold(requests.deleted);
  const source = run.askRelease(requests.released);
  run.release(requests.released, 2 * HOUR_MS);
  run.deliver(requests.released, source, 2 * HOUR_MS);
  run.answer(requests.released, 'I0', 25 * HOUR_MS, { quarantinedMs: 2 * HOUR_MS });
  run.askDeletion(requests.deleted);
  run.delete(requests.deleted, HOUR_MS);
  for (let partition = 0; partition < PARTITIONS; partition++) run.fleetMarker(partition, RECEIVED_MS);
  return Object.assign(run, { requests });
}

/** The first record of a topic that is about a request, taken out. */
function removed(run: Clean, topic: keyof WrittenRun['topics'], { offset, record, partition }: Written) {
  const entries = run.topics[topic][partition];
  const at = entries.findIndex(({ value }) => {
    const found = value as Record<string, unknown>;
    const of = (found.request as Record<string, unknown> | undefined) ?? found;
    const requestOffset = of.requestOffset ?? found.requestOffset ?? offset;
    return requestOffset === offset && ((of.request as typeof of) ?? of).counter === record.counter;
  });
  if (at < 0) throw new Error(`${topic} has nothing about that request`);
  return entries.splice(at, 1)[0].value as Record<string, unknown>;
}

/** The one event of a kind in quarantine, taken out. */
function removedEvent(run: Clean, kind: string): void {
  const [entries] = run.topics.quarantine;
  entries.splice(
    entries.findIndex(({ value }) => (value as { kind: string }).kind === kind),
    1,
  );
}

const idOf = ({ record }: Written) => {
  const eui = (bytes: unknown) => (bytes as Buffer).toString('hex').toUpperCase().match(/../g)!.join('-');
  return `${eui(record.originator)}:${eui(record.device)}:${BigInt.asUintN(64, record.counter as bigint)}`;
};

let runs = 0;

describeWithKafka('the audit of a run', ({ brokers, registryUrl }) => {
  let writer: Awaited<ReturnType<typeof createWriter>>;
  beforeAll(async () => {
    writer = await createWriter(brokers, registryUrl);
  });

  async function audited(run: WrittenRun, options: Partial<AuditOptions> = {}): Promise<AuditReport> {
    const prefix = `audit-${process.pid}-${Math.trunc(performance.timeOrigin)}-${++runs}.`;
    await writer.write(run, prefix);
    try {
      const asked = { isAllDemanded: false, isDeadLetterFault: false, ...options };
      return await runAudit({ brokers, registryUrl, prefix, ...asked });
    } finally {
      await writer.erase(prefix);
    }
  }

  /** That exactly one fault is found, of this kind, about this request. */
  function expectOnly(report: AuditReport, kind: FaultKind, request: Written | null, says: RegExp): void {
    const none = Object.fromEntries(Object.keys(FAULTS).map((one) => [one, 0]));
    expect(report.faults.list.map(({ kind: found, says: why }) => `${found}: ${why}`)).toHaveLength(1);
    expect(report.faults.counts).toEqual({ ...none, [kind]: 1 });
    expect(report.faults.list[0].says).toMatch(says);
    if (request !== null) expect(report.faults.list[0]).toMatchObject({ requestId: idOf(request), mode: request.lane });
    expect(report.clean).toBe(false);
    expect(sumOf(report)).toBe(report.totals.received);
  }

  function expectWarning(report: AuditReport, kind: WarningKind): void {
    expect(report.warnings.list.map((warning) => warning.kind)).toEqual([kind]);
  }

  function sumOf({ totals }: AuditReport): number {
    const { received: _, ...rest } = totals;
    return Object.values(rest).reduce((sum, part) => sum + part, 0);
  }

  test('of a ledger in which nothing is wrong counts where every request went', async () => {
    const report = await audited(cleanRun());
    expect(report.faults.list).toEqual([]);
    expect(report.warnings.list).toEqual([]);
    expect(report.clean).toBe(true);
    expect(report.totals).toEqual({
      received: 14,
      answered: 9,
      refused: 2,
      quarantined: 1,
      deleted: 1,
      open: 1,
      repeated: 0,
      setAside: 0,
      lost: 0,
    });
    expect(report.byMode.scheduled).toMatchObject({ received: 8, answered: 5, refused: 2, open: 1 });
    expect(report.codes).toEqual({ I0: 8, E21: 1, E4: 1, E5: 1 });
    expect(report).toMatchObject({ intervals: 4 * 48, released: 1, breaches: 1, late: 1, replays: {} });
    expect(report.run).toMatchObject({ id: 'by-hand', state: 'ENDED' });
    expect(renderAudit(report, 20)).toMatch(/^received +8 +6 +14$[\s\S]*The ledger is clean\.\n$/m);
  });

  test('drops what crashes have repeated, and counts it', async () => {
    const run = cleanRun();
    for (const topic of Object.keys(run.topics) as (keyof typeof run.topics)[]) {
      for (const entries of run.topics[topic]) if (topic !== 'anomaly-checks') entries.push(...entries.slice());
    }
    run.topics['anomaly-checks'][0].push(...run.topics['anomaly-checks'][0].slice());
    const report = await audited(run);
    expect(report.faults.list).toEqual([]);
    expect(report.totals.received).toBe(14);
    expect(report.replays).toEqual({
      'service-requests.scheduled': 8,
      'service-requests.on-demand': 8,
      'anomaly-checks': 8,
      'device-requests.scheduled': 6,
      'device-requests.on-demand': 3,
      'service-responses': 11,
      quarantine: 5,
      'trt-breaches': 1,
    });
  });

  test('warns of a replay that says something else than what was delivered', async () => {
    const run = cleanRun();
    run.answer(run.requests.read, 'E21', 90_000);
    const report = await audited(run);
    expect(report.clean).toBe(true);
    expectWarning(report, 'conflicting');
    expect(report.warnings.list[0]).toMatchObject({ requestId: idOf(run.requests.read) });
    expect(report.warnings.list[0].says).toMatch(/E21 .* after I0/);
  });

  test('warns of a request that was refused and let through', async () => {
    const run = cleanRun();
    run.deliver(run.requests.suspended);
    run.sortDeliveries('scheduled', 0);
    const report = await audited(run);
    expect(report.clean).toBe(true);
    expectWarning(report, 'conflicting');
  });

  test('names a request that the fleet has not answered', async () => {
    const run = cleanRun();
    removed(run, 'service-responses', run.requests.read);
    const report = await audited(run);
    expectOnly(report, 'lost', run.requests.read, /last seen at offset 0 of device-requests\.scheduled/);
    expect(report.faults.list[0]).toMatchObject({ topic: 'service-requests.scheduled', partition: 0, offset: 0 });
    const text = renderAudit(report, 20);
    expect(text).toContain(`${idOf(run.requests.read)} service-requests.scheduled/0@0: no answer`);
    expect(text).toMatch(/The ledger has 1 fault\.\n$/);
    expect(renderAudit(report, 0)).toMatch(/^fault lost: 1 .*\n {2}and 1 more$/m);
  });

  test('names a request of which access control has written nothing', async () => {
    const run = cleanRun();
    removed(run, 'device-requests.scheduled', run.requests.read);
    removed(run, 'service-responses', run.requests.read);
    expectOnly(await audited(run), 'lost', run.requests.read, /access control has written nothing/);
  });

  test('names a request whose User said process and that is held still', async () => {
    const run = cleanRun();
    for (const topic of ['device-requests.on-demand', 'service-responses'] as const)
      removed(run, topic, run.requests.released);
    removedEvent(run, 'RELEASED');
    expectOnly(await audited(run), 'lost', run.requests.released, /said process/);
  });

  test('names a request whose User said delete and that is held still', async () => {
    const run = cleanRun();
    removedEvent(run, 'DELETED');
    expectOnly(await audited(run), 'lost', run.requests.deleted, /said delete/);
  });

  test('names a request that was dropped from quarantine though its User did not say so', async () => {
    const run = cleanRun();
    run.delete(run.requests.held, HOUR_MS);
    expectOnly(await audited(run), 'stray', null, /DELETED, though its User did not say delete/);
  });

  test('names a request that was dropped from quarantine and carried out all the same', async () => {
    const run = cleanRun();
    run.deliver(run.requests.deleted, run.topics['anomaly-checks'][0].length);
    run.answer(run.requests.deleted, 'I0', 60_000);
    expectOnly(await audited(run), 'anomaly', run.requests.deleted, /without having been released/);
  });

  test('names a request whose place in the numbering another one has taken', async () => {
    const run = cleanRun();
    const dropped = run.request('scheduled', OWN, deviceOf(1), ALPHA, 99n, { position: 1 });
    expectOnly(await audited(run), 'lost', dropped, /position 1 of source 0 was another record's before/);
  });

  test('demands an answer to every request when all are demanded', async () => {
    const run = cleanRun();
    expectOnly(await audited(run, { isAllDemanded: true }), 'lost', run.requests.open, /no answer/);
  });

  test('names a RequestID that was put through twice', async () => {
    const run = cleanRun();
    const again = run.request('scheduled', OWN, deviceOf(1), ALPHA, 1n);
    run.accept(again);
    run.answer(again, 'I0', 60_000);
    const report = await audited(run);
    expectOnly(report, 'answered-twice', again, /I0 to offset 0 of service-requests.scheduled and I0 to offset 7/);
  });

  test('counts a request that two gateways have accepted once, and names one that was run for both', async () => {
    const twice = (isRunTwice: boolean) => {
      const run = cleanRun();
      const registers = { srv: 'SRV_8_2', windowStartMs: RECEIVED_MS, windowEndMs: RECEIVED_MS, position: 1 };
      const [first, second] = [2, 3].map((source) =>
        run.request('on-demand', OWN, deviceOf(1), ALPHA, 77n, { ...registers, source }),
      );
      for (const one of isRunTwice ? [first, second] : [first]) {
        run.check(one);
        run.answer(one, 'I0', 500, { source: 'ANOMALY' });
      }
      return { run, second };
    };
    const report = await audited(twice(false).run);
    expect(report.faults.list).toEqual([]);
    expect(report.totals).toMatchObject({ received: 16, answered: 10, repeated: 1 });
    const { run, second } = twice(true);
    const { faults } = await audited(run);
    expect(faults.list.map(({ kind, requestId }) => [kind, requestId])).toEqual([
      ['answered-twice', idOf(second)],
      ['answered-twice', idOf(second)],
    ]);
  });

  test('takes a read and an inventory of one device and one counter for two requests', async () => {
    const run = cleanRun();
    const { counter } = run.requests.first.record as { counter: bigint };
    const registers = { srv: 'SRV_8_2', windowStartMs: RECEIVED_MS, windowEndMs: RECEIVED_MS };
    const inventory = run.request('on-demand', OWN, deviceOf(1), ALPHA, counter, registers);
    run.check(inventory);
    run.answer(inventory, 'I0', 500, { source: 'ANOMALY' });
    const report = await audited(run);
    expect(report.faults.list).toEqual([]);
    expect(report.totals).toMatchObject({ received: 15, answered: 10 });
  });

  test('names a request that was put to its meter twice', async () => {
    const run = cleanRun();
    run.deliver(run.requests.first, run.check(run.requests.first, 0));
    // The anomaly check would drop its own source; a check from nowhere has a source of its own.
    const checks = run.topics['anomaly-checks'][0];
    (checks.at(-1)?.value as Record<string, unknown>).sourceOffset = 100;
    expectOnly(await audited(run), 'answered-twice', run.requests.first, /put to its meter twice: by offsets 0 and 3/);
  });

  test('names a replay that was carried out', async () => {
    const run = cleanRun();
    const again = run.request('scheduled', OWN, deviceOf(1), ALPHA, 1n, { position: 1 });
    run.answer(again, 'I0', 60_000);
    expectOnly(await audited(run), 'answered-twice', run.requests.read, /its replay at offset 7 was carried out too/);
  });

  test('names data of a Settlement Day that was not the User’s', async () => {
    const run = cleanRun();
    removed(run, 'service-responses', run.requests.foreign);
    run.accept(run.requests.foreign);
    run.answer(run.requests.foreign, 'I0', 60_000);
    run.sortDeliveries('scheduled', 0);
    expectOnly(await audited(run), 'wrong-day', run.requests.foreign, /not appointed for Settlement Day 2026-03-02/);
  });

  test('names data of a day that was not asked for', async () => {
    const run = cleanRun();
    const answer = removed(run, 'service-responses', run.requests.read);
    answer.firstStampMs = (answer.firstStampMs as number) - 1_800_000;
    run.push('service-responses', 0, answer);
    expectOnly(await audited(run), 'wrong-day', run.requests.read, /outside the window/);
  });

  test.each([
    [
      'for another reason than the rules have',
      { fact: FACT.noMpan, code: 'E4' },
      /fact 18 .*rules E4 \(notAppointed\)/,
    ],
    ['with another code than its fact has', { code: 'E5' }, /refused with E5, fact 19/],
  ])('names a request refused %s', async (_, fields, says) => {
    const run = cleanRun();
    const refusal = removed(run, 'service-responses', run.requests.foreign);
    run.push('service-responses', 0, { ...refusal, ...fields });
    expectOnly(await audited(run), 'wrong-code', run.requests.foreign, says);
  });

  test('names a request refused though the rules accept it', async () => {
    const run = cleanRun();
    for (const topic of ['device-requests.scheduled', 'service-responses'] as const)
      removed(run, topic, run.requests.read);
    run.refuse(run.requests.read, FACT.notAppointed);
    expectOnly(await audited(run), 'wrong-code', run.requests.read, /refused with E4.*by the rules I99/);
  });

  test('names a request accepted though the rules refuse it', async () => {
    const run = cleanRun();
    removed(run, 'service-responses', run.requests.suspended);
    run.accept(run.requests.suspended);
    run.sortDeliveries('scheduled', 0);
    run.answer(run.requests.suspended, 'E20', 60_000);
    expectOnly(await audited(run), 'wrong-code', run.requests.suspended, /accepted; by the rules E5/);
  });

  test('names an answer that only access control gives, given by the fleet', async () => {
    const run = cleanRun();
    const answer = removed(run, 'service-responses', run.requests.outgoing);
    run.push('service-responses', 0, { ...answer, code: 'E5' });
    expectOnly(await audited(run), 'wrong-code', run.requests.outgoing, /the fleet answered E5/);
  });

  test('takes a decision as right by whatever was registered while it was made, and by nothing else', async () => {
    const run = cleanRun();
    const written = WALL_MS + 60_000;
    // BETA is agent of the day before for an hour, and then not any more.
    run.registration(
      SWITCHED,
      [
        ['ALPH', -500],
        ['BETA', -1],
      ],
      written,
      2,
    );
    run.registration(
      SWITCHED,
      [
        ['ALPH', -500],
        ['BETA', 0],
      ],
      written + HOUR_MS,
      3,
    );
    const after = (name: string, ms: number, counter: bigint) => {
      const request = run.request('scheduled', SWITCHED, deviceOf(2), BETA, counter, { atMs: written + ms });
      run.requests[name] = request;
      return request;
    };
    for (const [name, ms, fact] of [
      ['old value, in force a moment ago', 2_000, FACT.notAppointed],
      ['new value', 2_000, FACT.accepted],
      ['old value, long after', 60_000, FACT.notAppointed],
    ] as const) {
      const request = after(name, ms, 100n + BigInt(run.topics['service-requests.scheduled'][0].length));
      if (fact === FACT.accepted) {
        run.accept(request);
        run.answer(request, 'I0', 60_000);
      } else run.refuse(request, fact);
      for (const topic of ['device-requests.scheduled', 'service-responses'] as const) {
        const last = run.topics[topic][0].at(-1);
        if (last !== undefined && last.atMs === WALL_MS) last.atMs = written + ms + 100;
      }
    }
    expectOnly(await audited(run), 'wrong-code', run.requests['old value, long after'], /by the rules I99/);
  });

  test('a registration of a lower sequence than the last changes nothing', async () => {
    const run = cleanRun();
    run.registration(SWITCHED, [['BETA', -500]], WALL_MS - 1000, 0);
    expect((await audited(run)).faults.list).toEqual([]);
  });

  test('names a late request that was not counted as a breach', async () => {
    const run = cleanRun();
    run.topics['trt-breaches'][0].length = 0;
    expectOnly(
      await audited(run),
      'breach',
      run.requests.late,
      /answered 3600\.0 s after its TRT of 86400 s ran out, and not/,
    );
  });

  test('counts what the platform took towards the TRT, and takes either verdict near the deadline', async () => {
    const answered = (run: Clean, platformMs: number) => {
      const answer = removed(run, 'service-responses', run.requests.read);
      const answeredMs = RECEIVED_MS + TRT_24_H * 1000;
      run.push('service-responses', 0, { ...answer, answeredMs, platformMs });
    };
    const near = cleanRun();
    answered(near, 900);
    expect((await audited(near)).clean).toBe(true);
    near.breach(near.requests.read, TRT_24_H);
    expect((await audited(near)).clean).toBe(true);
    const beyond = cleanRun();
    answered(beyond, 1100);
    expectOnly(await audited(beyond), 'breach', beyond.requests.read, /1\.1 s after/);
  });

  test('names a request in time that was counted as a breach', async () => {
    const run = cleanRun();
    run.breach(run.requests.read, TRT_24_H);
    expectOnly(await audited(run), 'breach', run.requests.read, /before its TRT/);
  });

  test('names a refused request that was counted as a breach', async () => {
    const run = cleanRun();
    run.breach(run.requests.foreign, TRT_24_H);
    expectOnly(await audited(run), 'breach', run.requests.foreign, /has no TRT/);
  });

  test('names a breach of another deadline than the matrix gives', async () => {
    const run = cleanRun();
    run.topics['trt-breaches'][0].length = 0;
    run.breach(run.requests.late, 30);
    expectOnly(await audited(run), 'breach', run.requests.late, /says TRT 30 s/);
  });

  test('names an unanswered request whose deadline the fleet has passed, and none that is held', async () => {
    const run = cleanRun();
    run.fleetMarker(0, RECEIVED_MS + 20 * HOUR_MS + TRT_24_H * 1000 + 2_000);
    expectOnly(await audited(run), 'breach', run.requests.open, /not answered 2\.0 s after/);
    run.breach(run.requests.open, TRT_24_H);
    expect((await audited(run)).clean).toBe(true);
  });

  test('names a late answer of the platform itself that was not counted', async () => {
    const run = cleanRun();
    const answer = removed(run, 'service-responses', run.requests.inventory);
    run.push('service-responses', 0, { ...answer, answeredMs: RECEIVED_MS + 40_000 });
    expectOnly(await audited(run), 'breach', run.requests.inventory, /10\.0 s after its TRT of 30 s/);
  });

  test('names a User of whom more than the excess was held', async () => {
    const run = cleanRun();
    for (const topic of ['device-requests.on-demand', 'service-responses'] as const)
      removed(run, topic, run.requests.second);
    run.hold(run.requests.second);
    expectOnly(
      await audited(run),
      'anomaly',
      null,
      /of 5 requests of 4\.1\.1 by 90-B3-.* threshold of 2 .* 4 were held and not 3/,
    );
  });

  test('names a User of whom less than the excess was held', async () => {
    const run = cleanRun();
    run.topics.quarantine[0].shift();
    run.deliver(run.requests.held, 50);
    run.answer(run.requests.held, 'I0', 60_000);
    expectOnly(await audited(run), 'anomaly', null, /2 were held and not 3/);
  });

  test('names a held request that went on without having been released', async () => {
    const run = cleanRun();
    run.deliver(run.requests.held, 50);
    run.answer(run.requests.held, 'I0', 60_000);
    expectOnly(await audited(run), 'anomaly', run.requests.held, /without having been released/);
  });

  test('names what is missing among the numbers of a source', async () => {
    const run = cleanRun();
    const after = run.request('scheduled', ELSEWHERE, deviceOf(4), ALPHA, 50n, { position: 4 });
    run.accept(after);
    run.answer(after, 'I0', 60_000);
    const report = await audited(run);
    expectOnly(report, 'gap', after, /positions 2 to 3 are missing of source 0: the last before stands at offset 0/);
    expect(report.faults.list[0]).toMatchObject({ partition: 1, offset: 1 });
  });

  test('names what is missing at the end of a source, by its marker', async () => {
    const run = cleanRun();
    run.marker('scheduled', 1, 2);
    expectOnly(await audited(run), 'gap', null, /position 2 is missing of source 0/);
    const whole = cleanRun();
    whole.marker('scheduled', 1, 1);
    expect((await audited(whole)).clean).toBe(true);
  });

  test('names an answer to a request that there is not', async () => {
    const run = cleanRun();
    run.answer({ ...run.requests.read, offset: 77 }, 'I0', 60_000);
    expectOnly(
      await audited(run),
      'stray',
      null,
      /of offset 77 of service-requests\.scheduled, where no request stands/,
    );
  });

  test('names an answer to another request than it says', async () => {
    const run = cleanRun();
    run.answer({ ...run.requests.read, offset: run.requests.outgoing.offset }, 'I0', 60_000);
    expectOnly(await audited(run), 'stray', null, /where 90-B3-.*:2 stands/);
  });

  test('names a release that no User asked for', async () => {
    const run = cleanRun();
    run.release(run.requests.held, 1000);
    const report = await audited(run);
    expect(report.faults.counts).toMatchObject({ stray: 1, lost: 1 });
    expect(report.faults.list.map(({ requestId }) => requestId)).toEqual([
      idOf(run.requests.held),
      idOf(run.requests.held),
    ]);
  });

  test('names what cannot be read, unless it was set aside', async () => {
    const run = cleanRun();
    const offset = run.push('service-requests.on-demand', 0, Buffer.from([0, 0, 0]));
    expectOnly(await audited(run), 'unreadable', null, /does not begin with a schema id/);
    run.deadLetter('service-requests.on-demand', 0, offset);
    const report = await audited(run);
    expect(report.clean).toBe(true);
    expect(report.deadLetters).toEqual({ total: 1, byReason: { UNDECODABLE: 1 }, byService: { 'access-control': 1 } });
    expectOnly(await audited(run, { isDeadLetterFault: true }), 'dead-letter', null, /access-control set offset 8 of/);
  });

  test('a request that was set aside is not lost', async () => {
    const run = cleanRun();
    for (const topic of ['device-requests.scheduled', 'service-responses'] as const)
      removed(run, topic, run.requests.read);
    run.deadLetter('service-requests.scheduled', 0, run.requests.read.offset);
    const report = await audited(run);
    expect(report.faults.list).toEqual([]);
    expect(report.totals).toMatchObject({ setAside: 1, lost: 0, answered: 8 });
  });

  test('as a command prints the same audit and says by its exit code whether the ledger is clean', async () => {
    const prefix = `audit-command-${process.pid}-${Math.trunc(performance.timeOrigin)}.`;
    const run = cleanRun();
    removed(run, 'service-responses', run.requests.read);
    run.answer(run.requests.read, 'I0', 26 * HOUR_MS);
    await writer.write(run, prefix);
    const where = ['--brokers', brokers.join(','), '--registry', registryUrl, '--prefix', prefix];
    const mdr = (...args: string[]) => spawnSync(MDR, ['audit', ...args], { encoding: 'utf8' });
    const json = mdr(...where, '--json');
    expect([json.status, json.stderr]).toEqual([1, '']);
    const report = JSON.parse(json.stdout) as AuditReport;
    expectOnly(report, 'breach', run.requests.read, /answered 7200\.0 s after/);
    const text = mdr(...where, '--show', '0');
    expect(text.status).toBe(1);
    expect(text.stdout).toContain('fault breach: 1 (');
    expect(mdr(...where, '--show', 'all')).toMatchObject({ status: 2, stdout: '' });
    expect(mdr(...where.slice(0, 4), '--prefix', 'nosuch.').status).toBe(3);
    await writer.erase(prefix);
  });

  test('without a prefix is of the run that began last, whatever its prefix, and names those before it', async () => {
    // Other tests leave their runs on the same broker: these two began later than any.
    const stem = `audit-last-${process.pid}-${Math.trunc(performance.timeOrigin)}`;
    const began = {
      [`${stem}-b.`]: Date.parse('2126-01-01T00:00:00Z'),
      [`${stem}-a.`]: Date.parse('2126-01-02T00:00:00Z'),
    };
    for (const [prefix, wallEpochMs] of Object.entries(began)) {
      const run = cleanRun();
      run.topics.runs[0].length = 0;
      run.run({ runId: `run of ${prefix}`, wallEpochMs });
      await writer.write(run, prefix);
    }
    const [earlier, last] = Object.keys(began);
    const { MDR_PREFIX: _, ...env } = process.env;
    const given = ['audit', '--brokers', brokers.join(','), '--registry', registryUrl];
    const { status, stdout, stderr } = spawnSync(MDR, given, { encoding: 'utf8', env });
    expect([status, stdout.split('\n')[0]]).toEqual([0, expect.stringContaining(`Run run of ${last} on ${last}*`)]);
    const lines = stderr.split('\n');
    expect(lines[0]).toBe(`The last run on this Kafka: run of ${last}, began 2126-01-02T00:00:00Z, --prefix ${last}`);
    expect(lines[2]).toBe(`  npx mdr audit --prefix ${earlier}  (run of ${earlier}, began 2126-01-01T00:00:00Z)`);
    for (const prefix of Object.keys(began)) await writer.erase(prefix);
  });

  test('does not run where there is no run, or no topics', async () => {
    const run = cleanRun();
    run.topics.runs[0].length = 0;
    await expect(audited(run)).rejects.toThrow(/There is no run in/);
    const options = { brokers, registryUrl, prefix: 'nosuch.', isAllDemanded: false, isDeadLetterFault: false };
    await expect(runAudit(options)).rejects.toMatchObject({ code: 'COULD_NOT_RUN' });
  });
});
