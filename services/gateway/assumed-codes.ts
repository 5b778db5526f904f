/**
 * Codes that the DUIS schema lists, and whose meaning no source of this project says: each is a setting, with a default
 * that is assumed.
 */
export const ASSUMED_CODES = {
  readUnknownSchedule: { pattern: '^[EW]0502\\d\\d$', default: 'E050201', says: '5.2 names no schedule of the User.' },
  deleteUnknownSchedule: {
    pattern: '^[EW]0503\\d\\d$',
    default: 'E050301',
    says: '5.3 names no schedule of the User.',
  },
  scheduleLimit: {
    pattern: '^E0501\\d\\d$',
    default: 'E050101',
    says: '5.1 would be the 100th of the User for the device.',
  },
  scheduleNeverRuns: {
    pattern: '^E0501\\d\\d$',
    default: 'E050102',
    says: '5.1 describes a schedule with no execution to come.',
  },
  duplicateRequest: {
    pattern: '^E\\d{1,3}$',
    default: 'E49',
    says: 'A request of this RequestID was accepted before; this one is not run.',
  },
  quarantineAlert: {
    pattern: '^(AD1|N\\d{1,3})$',
    default: 'N36',
    says: 'DCC Alert that tells a User of a quarantined request.',
  },
  scheduleRemovalAlert: {
    pattern: '^(AD1|N\\d{1,3})$',
    default: 'N6',
    says: 'DCC Alert that tells a User that its schedule was removed: its appointment has ended.',
  },
} as const;
export type AssumedCode = keyof typeof ASSUMED_CODES;
