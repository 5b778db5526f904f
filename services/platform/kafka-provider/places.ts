import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/** Where `mdr kafka up` keeps its state, logs and data. */
export function kafkaDirectory(): string {
  return process.env.MDR_KAFKA_DIR ?? join(ROOT, '.kafka');
}

/** Shared by all that run on this checkout, whatever their data directory. */
export function jarsDirectory(): string {
  return join(ROOT, '.kafka', 'jars');
}
