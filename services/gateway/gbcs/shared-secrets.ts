import type { DeviceId } from '#core/identifiers.ts';

/**
 * The 32 bytes of Z, the x coordinate of static P-256 key agreement between a device and a party (a User, or the access
 * control broker). Throws GBCS_REFUSED where a key of either is not at hand.
 */
export type SharedSecrets = (device: DeviceId, party: DeviceId) => Uint8Array;
