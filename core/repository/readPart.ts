import { Readable } from 'node:stream';
import { HoldfastError } from '../errors.ts';
import type { OpeningKey } from '../seal/keys.ts';
import type { Backend } from '../storage/backend.ts';
import type { Manifest, ManifestPart } from './manifest.ts';
import { readPlaintext } from './openPart.ts';
import { keyedObjects, readObjects } from './readObjects.ts';

/**
 * The plaintext of one part, verified while it streams: decryption authenticates every frame before it is handed out,
 * and the stream ends well only when every stored byte hashed to the manifest's SHA-256 and every count agrees. It errors
 * with ObjectMissing, ObjectDamaged, KeyMissing, BackendUnreachable or BackendRefused otherwise: whoever writes it
 * somewhere keeps nothing of it then. Destroying it stops the reading.
 */
export function readPart(
  backend: Backend,
  manifest: Manifest,
  part: ManifestPart,
  openingKeys: readonly OpeningKey[],
  signal?: AbortSignal,
): Readable {
  const ciphertext = wholeObjects(backend, manifest, part, signal);
  return Readable.from(readPlaintext(manifest, part, ciphertext, { openingKeys, signal }), { objectMode: false });
}

/** The part with this name. Throws InvalidInput naming those there are. */
export function partNamed(manifest: Manifest, name: string): ManifestPart {
  const part = manifest.parts.find((candidate) => candidate.part === name);
  if (part) return part;
  throw new HoldfastError('InvalidInput', `Backup ${manifest.id} has no part ${name}`, {
    advice: `Its parts are: ${manifest.parts.map((each) => each.part).join(', ')}.`,
  });
}

async function* wholeObjects(backend: Backend, manifest: Manifest, part: ManifestPart, signal?: AbortSignal) {
  let problem: HoldfastError | undefined;
  const objects = keyedObjects(manifest, part);
  for (const object of objects) {
    const chunks = readObjects(backend, [object], (finding) => (problem = finding.problem), { signal });
    yield* chunks;
    if (problem) throw problem;
  }
}
