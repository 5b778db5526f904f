/** The response codes that the DCC answers with, and no others. */
export const RESPONSE_CODES = {
  I0: 'success',
  I99: 'accepted, passed access control',
  E1: 'invalid user or role',
  E2: 'role not permitted for the Service Request',
  E3: 'user status',
  E4: 'role not authorised for device and date',
  E5: 'device status',
  E11: 'Service Request and device type mismatch',
  E12: 'Service Request and CommandVariant mismatch',
  E13: 'wrong URL',
  E17: 'not available as local command',
  E19: 'device does not exist',
  E20: 'cannot communicate with device',
  E21: 'no response received',
  E30: 'time-out of a future-dated one',
} as const;
export type ResponseCode = keyof typeof RESPONSE_CODES;

export function isResponseCode(text: string): text is ResponseCode {
  return Object.hasOwn(RESPONSE_CODES, text);
}
