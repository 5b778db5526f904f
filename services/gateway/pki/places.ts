import { fileURLToPath } from 'node:url';

/** Where `mdr pki` writes, and where `mdr decode` looks for keys, unless told otherwise. */
export function pkiDirectory(): string {
  return process.env.MDR_PKI_DIR ?? fileURLToPath(new URL('../../../.pki', import.meta.url));
}
