import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test, vi } from 'vitest';
import { MdrError } from '#core/errors.ts';
import { canonicalDocument } from './canonical-xml.ts';
import { parseDuisRequest, readDuisRequest } from './duis-request.ts';
import SEEDS from './test/fuzz-seeds.json' with { type: 'json' };
import { mutatedDocument } from './test/mutated-document.ts';
import { CERTIFICATES, EXCLUSIVE_SIGNATURE, requestWith, SIGNATURE, signByLibxml2 } from './test/signed-request.ts';
import { readXmlBytes } from './xml-reader.ts';
import { isSignature, verifySignature } from './xml-signature.ts';

/** MDR_FUZZ_FROM=N begins at another seed than 0, MDR_FUZZ_COUNT=N tries so many. */
const FROM = Number(process.env.MDR_FUZZ_FROM ?? 0);
const REQUESTS = Number(process.env.MDR_FUZZ_COUNT ?? 100_000);
const SIGNATURES = REQUESTS / 5;
/** Twenty times what a request takes on a machine with other work. */
const TIMEOUT_MS = Math.max(120_000, REQUESTS * 8);
vi.setConfig({ testTimeout: TIMEOUT_MS });
/** Of the thread's CPU, which other work on the machine does not lengthen. */
const MILLISECONDS_MAX = 100;
/** Growth of the heap between a tenth of the mutations and the last. */
const HEAP_GROWTH_BYTES_MAX = 8_388_608;

const EXAMPLES = [
  'read-import-day',
  'create-schedule',
  'delete-schedule',
  'read-inventory',
  'read-export-registers',
].map((name) => readFileSync(new URL(`../../docs/using/examples/${name}.xml`, import.meta.url), 'utf8'));
const SIGNED = [SIGNATURE, EXCLUSIVE_SIGNATURE].map((signature) => signByLibxml2(requestWith(signature)));

/** Takes an outcome or XML_REFUSED, and nothing else, in bounded time; `undefined` for a refusal. */
function outcomeOf<T>(seed: number, read: () => T): T | undefined {
  for (let attempt = 0; ; attempt++) {
    const before = process.threadCpuUsage();
    let outcome: T | undefined;
    try {
      outcome = read();
    } catch (error) {
      if (!(error instanceof MdrError) || error.code !== 'XML_REFUSED') throw failure(seed, error);
    }
    const { user, system } = process.threadCpuUsage(before);
    const milliseconds = (user + system) / 1000;
    if (milliseconds <= MILLISECONDS_MAX) return outcome;
    // Once may be a collection of the garbage of others.
    if (attempt === 2) throw failure(seed, `takes ${milliseconds} ms`);
  }
}

function failure(seed: number, cause: unknown): Error {
  return new Error(`seed ${seed} (keep it in services/gateway/test/fuzz-seeds.json): ${cause}`, { cause });
}

function heapBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

function forEachSeed(kept: readonly number[], count: number, one: (seed: number) => void): void {
  for (const seed of kept) one(seed);
  let heapBefore = 0;
  for (let at = 0; at < count; at++) {
    if (at === Math.floor(count / 10)) heapBefore = heapBytes();
    one(FROM + at);
  }
  expect(heapBytes() - heapBefore).toBeLessThan(HEAP_GROWTH_BYTES_MAX);
}

test(`${REQUESTS} damaged requests are each read or refused, in bounded time and memory`, () => {
  const corpus = [...EXAMPLES, ...SIGNED];
  const outcomes = { read: 0, refused: 0 };
  forEachSeed(SEEDS.requests, REQUESTS, (seed) => {
    const bytes = mutatedDocument(seed, corpus);
    const request = outcomeOf(seed, () => parseDuisRequest('f.xml', bytes));
    outcomes[request === undefined ? 'refused' : 'read']++;
  });
  // Damage that nothing survives would test the first check only.
  expect(outcomes.read).toBeGreaterThan(REQUESTS / 50);
  expect(outcomes.refused).toBeGreaterThan(REQUESTS / 2);
});

test(`${SIGNATURES} damaged signed requests are by their signer only where they read as what was signed`, () => {
  const canonical = new Set(
    SIGNED.flatMap((text) => [false, true].map((exclusive) => canonicalOf(Buffer.from(text), exclusive))),
  );
  const outcomes: Record<string, number> = {};
  forEachSeed(SEEDS.signatures, SIGNATURES, (seed) => {
    const bytes = mutatedDocument(seed, SIGNED);
    // The structure of a request is left aside, which would refuse most before their signature is looked at.
    const verification = outcomeOf(seed, () =>
      verifySignature('f.xml', readXmlBytes('f.xml', undefined, bytes), CERTIFICATES),
    );
    const outcome = verification === undefined ? 'refused' : 'fault' in verification ? verification.fault : 'signed';
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    const isWhatWasSigned = () => [false, true].some((exclusive) => canonical.has(canonicalOf(bytes, exclusive)));
    if (outcome === 'signed' && !isWhatWasSigned()) throw failure(seed, 'another request than was signed is taken');
  });
  const counted = ['signed', 'refused', 'signatureMissing', 'certificateUnknown', 'digestMismatch', 'valueMismatch'];
  expect(Object.keys(outcomes).sort()).toEqual(counted.sort());
  expect(outcomes.digestMismatch).toBeGreaterThan(SIGNATURES / 10);
});

test('a damaged request is read the same in chunks of any size as at once', async () => {
  for (let seed = FROM; seed < FROM + REQUESTS / 50; seed++) {
    const bytes = mutatedDocument(seed, EXAMPLES);
    const whole = outcomeOf(seed, () => parseDuisRequest('f.xml', bytes));
    const chunked = await readDuisRequest('f.xml', chunksOf(bytes, 1 + (seed % 97))).catch((error: unknown) => {
      if (!(error instanceof MdrError)) throw failure(seed, error);
      return undefined;
    });
    expect(chunked, `seed ${seed}`).toEqual(whole);
  }
});

async function* chunksOf(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

function canonicalOf(bytes: Uint8Array, exclusive: boolean): string {
  const document = readXmlBytes('f.xml', undefined, bytes);
  return canonicalDocument(document, exclusive, document.root.children.find(isSignature));
}
