import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ROLES, type Role } from './matrix.ts';
import { anniversaryOf, type Gates, type PartyCategory, standingIntervals, standingOn } from './onboarding.ts';
import { formatDay, parseDay, type SettlementDay } from './settlement-day.ts';

function day(text: string): SettlementDay {
  return parseDay(text) as SettlementDay;
}

const onboarded: Gates = {
  accededOn: day('2024-01-10'),
  ueptOn: { MDR: day('2024-02-10') },
  securityAssessments: [day('2024-03-10'), day('2025-03-05')],
  privacyAssessments: [day('2024-04-10'), day('2025-04-10')],
  adtDeclaredOn: day('2024-05-10'),
};
const agent = { category: 'MDR Party' as PartyCategory, gates: onboarded };

describe('an MDR User', () => {
  test.each([
    ['2024-01-09', 'notAcceded'],
    ['2024-01-10', 'ueptMissing'],
    ['2024-02-10', 'securityAssessmentLapsed'],
    ['2024-03-10', 'privacyAssessmentLapsed'],
    ['2024-04-10', 'adtMissing'],
    ['2024-05-10', undefined],
    ['2025-04-10', undefined],
    ['2026-03-04', undefined],
    ['2026-03-05', 'securityAssessmentLapsed'],
  ])('on %s: %s', (text, fact) => {
    expect(standingOn(agent, 'MDR', day(text))).toBe(fact);
  });

  test('whose assessment is renewed a day late may not act on the day between', () => {
    const late = { ...agent, gates: { ...onboarded, privacyAssessments: [day('2024-04-10'), day('2025-04-11')] } };
    expect(standingOn(late, 'MDR', day('2025-04-09'))).toBeUndefined();
    expect(standingOn(late, 'MDR', day('2025-04-10'))).toBe('privacyAssessmentLapsed');
    expect(standingOn(late, 'MDR', day('2025-04-11'))).toBeUndefined();
  });

  test('may stand on equivalent assessments that it underwent as an Other User', () => {
    const gates: Gates = {
      ...onboarded,
      securityAssessments: [],
      privacyAssessments: [],
      otherUserEquivalent: { security: day('2024-06-01'), privacy: day('2024-07-01') },
    };
    const otherUser = { category: 'Other SEC Party' as const, gates };
    expect(standingOn(otherUser, 'MDR', day('2024-06-30'))).toBe('privacyAssessmentLapsed');
    expect(standingOn(otherUser, 'MDR', day('2024-07-01'))).toBeUndefined();
    expect(standingOn(otherUser, 'MDR', day('2025-06-01'))).toBe('securityAssessmentLapsed');
  });

  test('needs UEPT for the very role', () => {
    expect(standingOn(agent, 'OU', day('2024-06-01'))).toBe('ueptMissing');
  });
});

describe('a Supplier', () => {
  const gates: Gates = {
    ...onboarded,
    ueptOn: { IS: day('2020-01-01'), ES: day('2020-01-01'), MDR: day('2024-01-01') },
    privacyAssessments: [],
  };

  test.each([
    ['Large Supplier', 'IS', undefined],
    ['Large Supplier', 'ES', undefined],
    ['Small Supplier', 'IS', undefined],
    ['Large Supplier', 'MDR', 'privacyAssessmentLapsed'],
    ['Other SEC Party', 'IS', 'privacyAssessmentLapsed'],
    ['MDR Party', 'ES', 'privacyAssessmentLapsed'],
  ] as const)('%s without a Privacy Assessment in role %s: %s', (category, role, fact) => {
    expect(standingOn({ category, gates }, role, day('2024-06-01'))).toBe(fact);
  });

  test('needs its own User Security Assessment', () => {
    const without: Gates = { ...gates, securityAssessments: [], otherUserEquivalent: { security: day('2024-05-01') } };
    expect(standingOn({ category: 'Large Supplier', gates: without }, 'IS', day('2024-06-01'))).toBe(
      'securityAssessmentLapsed',
    );
  });
});

test.each([
  ['2024-03-10', '2025-03-10'],
  ['2023-02-28', '2024-02-28'],
  ['2024-02-29', '2025-03-01'],
  ['2023-12-31', '2024-12-31'],
])('an assessment of %s holds until the day before %s', (assessed, anniversary) => {
  expect(formatDay(anniversaryOf(day(assessed)))).toBe(anniversary);
});

test('the intervals of standing hold exactly the days on which no gate is shut', () => {
  const FROM = day('2023-06-01');
  const someDay = fc.integer({ min: FROM, max: FROM + 500 });
  const maybe = fc.option(someDay, { nil: undefined });
  const users = fc.record({
    category: fc.constantFrom<PartyCategory>('Large Supplier', 'Small Supplier', 'Other SEC Party', 'MDR Party'),
    accededOn: maybe,
    uept: maybe,
    securityAssessments: fc.array(someDay, { maxLength: 3 }),
    privacyAssessments: fc.array(someDay, { maxLength: 3 }),
    security: maybe,
    privacy: maybe,
    adtDeclaredOn: maybe,
  });
  fc.assert(
    fc.property(users, fc.constantFrom<Role>(...ROLES), (drawn, role) => {
      const { category, accededOn, uept, security, privacy, adtDeclaredOn, ...assessments } = drawn;
      const gates: Gates = {
        ...assessments,
        ueptOn: uept === undefined ? {} : { [role]: uept },
        otherUserEquivalent: { ...(security !== undefined && { security }), ...(privacy !== undefined && { privacy }) },
        ...(accededOn !== undefined && { accededOn }),
        ...(adtDeclaredOn !== undefined && { adtDeclaredOn }),
      };
      const user = { category, gates };
      const intervals = standingIntervals(user, role);
      for (let d = FROM - 5; d < FROM + 900; d++) {
        const inside = intervals.filter(({ from, until }) => from <= d && d < until).length;
        if (inside !== (standingOn(user, role, d) === undefined ? 1 : 0)) expect.fail(`${formatDay(d)}: ${inside}`);
      }
    }),
  );
});
