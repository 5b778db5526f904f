import { get as getPlain } from 'node:http';
import { get as getSecure } from 'node:https';
import type { RegistrySecurity } from './security.ts';

/** Of a registry's answer: a schema is some kB, a list of subjects less than a megabyte. */
const ANSWER_BYTES_MAX = 16_777_216;

/**
 * Asks a registry for JSON; `json` is undefined where it answers other than 200. By Node's own client, as `fetch` takes no
 * CA. Rejects with what the connection or the JSON fails by.
 */
export function askRegistry(
  url: string,
  { ca, auth }: RegistrySecurity,
  withinMs: number,
): Promise<{ status: number; json: unknown }> {
  const get = url.startsWith('https:') ? getSecure : getPlain;
  return new Promise((resolve, reject) => {
    const request = get(
      url,
      {
        ...(ca !== undefined && { ca }),
        ...(auth && { auth: `${auth.username}:${auth.password}` }),
        signal: AbortSignal.timeout(withinMs),
      },
      (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.once('error', reject);
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > ANSWER_BYTES_MAX) request.destroy(new Error(`an answer of more than ${ANSWER_BYTES_MAX} bytes`));
          chunks.push(chunk);
        });
        response.once('end', () => {
          const status = response.statusCode as number;
          try {
            const json = status === OK ? JSON.parse(Buffer.concat(chunks).toString('utf8')) : undefined;
            resolve({ status, json });
          } catch (error) {
            reject(error);
          }
        });
      },
    );
    request.once('error', reject);
  });
}

const OK = 200;
