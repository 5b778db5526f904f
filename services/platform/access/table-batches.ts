import { WIRE_HEADER_BYTES } from '#schemas/wire.ts';
import type { BatchWalk } from '#services/platform/batch-walk.ts';
import type { MpanTable } from './mpan-table.ts';
import { applyMeteringPoint, applyRegistration } from './table-updates.ts';

/** A registration with hundreds of appointments is some kilobytes. */
const VALUE_BYTES_MAX = 256 * 1024;

/**
 * Applies batches of registrations or inventory, in which `walk` stands at the beginning, to the table of their
 * partition; what cannot be used is set aside. `onMpan` is called before and after an MPAN's record changes.
 */
export function applyTableBatches(
  walk: BatchWalk,
  table: MpanTable,
  topic: 'registrations' | 'inventory',
  schemaId: number,
  onMpan: (mpan: number, when: 'before' | 'after') => void = () => {},
): void {
  const apply = topic === 'registrations' ? applyRegistration : applyMeteringPoint;
  while (walk.next()) {
    const { buffer, keyAt, keyLength, valueAt, valueLength } = walk.cursor;
    const mpan = keyLength === 13 ? Number(buffer.toString('latin1', keyAt, keyAt + 13)) : Number.NaN;
    if (!(mpan >= 1e12)) {
      walk.setAside('IMPOSSIBLE_VALUE', 'the key is expected to be the 13 digits of an MPAN');
      continue;
    }
    if (valueLength >= 0 && !walk.hasValue(schemaId, VALUE_BYTES_MAX)) continue;
    onMpan(mpan, 'before');
    if (valueLength >= 0) {
      const refusal = apply(table, mpan, buffer, valueAt + WIRE_HEADER_BYTES, valueAt + valueLength);
      if (refusal !== undefined) walk.setAside(refusal.reason, refusal.detail);
    } else if (topic === 'registrations') table.removeRegistration(mpan);
    else table.removeDevice(mpan);
    onMpan(mpan, 'after');
  }
}
