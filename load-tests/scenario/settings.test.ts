import { describe, expect, test } from 'vitest';
import { linesOf, SMALL } from '#load-tests/test/scenario-faults.ts';
import { parseScenario } from './load.ts';

describe('--set', () => {
  const networks = (...settings: string[]) => parseScenario(SMALL, 'my.yaml', settings).scenario.networks;

  test('changes a setting by its path, whether the file has it or not', () => {
    const { scenario } = parseScenario(SMALL, 'my.yaml', ['fleet.meters=5', 'fleet.metersPerCell=2', 'title=a=b']);
    expect([scenario.fleet.meters, scenario.fleet.metersPerCell, scenario.title]).toEqual([5, 2, 'a=b']);
  });

  test.each(['users[1]', 'users[SONE]', 'users[Supplier One]', 'users.SONE'])(
    'finds a member of a list by %s',
    (at) => {
      const { scenario } = parseScenario(SMALL, 'my.yaml', [`${at}.ownMdraShare=0.3`]);
      expect(scenario.users.map(({ ownMdraShare }) => ownMdraShare)).toEqual([0, 0.3]);
    },
  );

  test('changes a member of a list that the file leaves to its default, and leaves the others', () => {
    const plain = networks();
    const set = networks('networks[S1SP].exchangesPerCell=9');
    expect(set[3]).toEqual({ ...plain[3], exchangesPerCell: 9 });
    expect(set.slice(0, 3)).toEqual(plain.slice(0, 3));
    // And nothing of it stays for the next one.
    expect(networks()).toEqual(plain);
  });

  test('takes an SRV with its dots in brackets', () => {
    const [north] = networks('networks[CSP North].serviceTimes[4.8.1]={distribution: constant, seconds: 3}');
    expect(north.serviceTimes).toEqual({ '4.8.1': { distribution: 'constant', seconds: 3 } });
  });

  test('adds a member behind the last, and takes lists and maps in YAML', () => {
    const burst = 'bursts[0]={user: AONE, srv: 4.6.1, window: "10:00-11:00", share: 0.2}';
    const { scenario } = parseScenario(SMALL, 'my.yaml', [burst, 'thresholds=[open == 0, breaches == 0]']);
    expect(scenario.bursts[0]).toMatchObject({ user: 'AONE', day: 1, share: 0.2 });
    expect(scenario.thresholds).toEqual(['open == 0', 'breaches == 0']);
  });

  test('later settings win, and see what earlier ones made', () => {
    const { scenario } = parseScenario(SMALL, 'my.yaml', [
      'days=2',
      'days=3',
      'bursts=[{user: AONE, srv: 4.6.1, window: "10:00-11:00", share: 0.2}]',
      'bursts[0].share=0.7',
    ]);
    expect([scenario.days, scenario.bursts[0].share]).toEqual([3, 0.7]);
  });

  test('reaches one of two members that share a value by an alias, and leaves the other', () => {
    const text = `${SMALL}networks:
  - { name: N, generation: SMETS2, share: 0.5, serviceTime: &time { distribution: constant, seconds: 3 } }
  - { name: M, generation: SMETS2, share: 0.5, serviceTime: *time }
`;
    const { scenario } = parseScenario(text, 'my.yaml', ['networks[M].serviceTime.seconds=5']);
    expect(scenario.networks.map(({ serviceTime }) => serviceTime)).toEqual([
      { distribution: 'constant', seconds: 3 },
      { distribution: 'constant', seconds: 5 },
    ]);
  });

  test.each([
    ['nothing', '--set: is "nothing", expected PATH=VALUE'],
    ['=5', '--set: is "=5", expected PATH=VALUE'],
    ['users[NONE].share=1', '--set: is "users[NONE].share=1", expected PATH=VALUE'],
    ['users[9].share=1', '--set: is "users[9].share=1", expected PATH=VALUE'],
    ['name.x=1', '--set: is "name.x=1", expected a value in YAML at a place that exists'],
    ['fleet.meters={', '--set: is "fleet.meters={", expected a value in YAML'],
    ['fleet.metres=5', '--set: fleet.metres expected the name of a setting; did you mean meters?'],
    ['flet.meters=5', '--set: flet expected the name of a setting; did you mean fleet?'],
    ['fleet.meters=', '--set: fleet.meters is null, expected a whole number'],
    ['days=many', '--set: days is "many", expected a whole number'],
    ['firstDay=2026-02-30', '--set: firstDay is "2026-02-30", expected a day of the calendar'],
    ['networks[S1SP].share=0.1', "--set: networks is 0.7, expected networks' shares that add up to 1"],
    ['thresholds[0]=open <= many', '--set: thresholds[0] is "open <= many", expected METRIC'],
    ['__proto__.x=1', '--set: __proto__ expected the name of a setting'],
  ])('%s is reported', (setting, expected) => {
    const lines = linesOf(SMALL, [setting]);
    expect(lines[0]?.slice(0, expected.length)).toBe(expected);
    expect(lines.join().includes('\n')).toBe(false);
  });

  test('all bad ones are reported at once', () => {
    expect(linesOf(SMALL, ['nothing', 'users[9].share=1', 'days={'])).toHaveLength(3);
    expect(linesOf(SMALL, ['days=0', 'seed=-1', 'fleet.meters=x'])).toHaveLength(3);
  });
});
