import { MODES, SERVICES } from '#core/matrix.ts';

export const SCHEDULED = MODES.indexOf('scheduled');
export const ON_DEMAND = MODES.indexOf('on-demand');
export const EXISTING = SERVICES.indexOf('existing');
export const MHHS = SERVICES.indexOf('mhhs');

/** Rows of the TRT table of one network: srv x mode x service; the generation is the network's. */
export const ROWS_PER_SRV = MODES.length * SERVICES.length;

/** Row of an SRV (position in the matrix), mode and service (positions in MODES and SERVICES). */
export function rowOf(srv: number, mode: number, service: number): number {
  return srv * ROWS_PER_SRV + mode * SERVICES.length + service;
}

export function srvOfRow(row: number): number {
  return (row / ROWS_PER_SRV) | 0;
}

export function modeOfRow(row: number): number {
  return ((row / SERVICES.length) | 0) % MODES.length;
}

export function serviceOfRow(row: number): number {
  return row % SERVICES.length;
}
