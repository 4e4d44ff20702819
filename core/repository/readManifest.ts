import { createHash } from 'node:crypto';
import { HoldfastError, isHoldfastError } from '../errors.ts';
import type { CheckingKey } from '../seal/keys.ts';
import type { Backend } from '../storage/backend.ts';
import { manifestKey } from './layout.ts';
import type { Manifest } from './manifest.ts';
import { readSignedManifest } from './signedManifest.ts';

/** Where a backup lies. */
export interface BackupPlace {
  readonly source: string;
  readonly tier: string;
  readonly id: string;
}

export interface ReadManifest {
  readonly manifest: Manifest;
  /** Of the object's bytes, as lower-case hex. */
  readonly sha256: string;
  /** False when no checking keys were given: then anybody could have written it. */
  readonly signatureChecked: boolean;
}

/**
 * Reads the manifest of one backup and checks its signature, its shape, and that it is the manifest of the folder it
 * lies in. Without checking keys the signature is not checked. Throws ObjectMissing when there is no such backup,
 * ManifestInvalid, KeyMissing, BackendUnreachable, BackendRefused.
 */
export async function readManifest(
  backend: Backend,
  place: BackupPlace,
  checkingKeys: readonly CheckingKey[] | undefined,
  signal?: AbortSignal,
): Promise<ReadManifest> {
  const key = manifestKey(place);
  const bytes = await readSmallObject(backend, key, signal);
  try {
    const manifest = readSignedManifest(bytes, checkingKeys);
    refuseOtherPlace(manifest, place);
    return {
      manifest,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      signatureChecked: checkingKeys !== undefined,
    };
  } catch (error) {
    throw isHoldfastError(error) ? onObject(error, backend, key) : error;
  }
}

/** Manifests are a few KB; with millions of listed paths they would still be far below this. */
const MANIFEST_BYTES_AT_MOST = 64 * 2 ** 20;

async function readSmallObject(backend: Backend, key: string, signal: AbortSignal | undefined): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of await backend.get(key, signal ? { signal } : {})) {
    bytes += (chunk as Buffer).length;
    if (bytes > MANIFEST_BYTES_AT_MOST) {
      throw new HoldfastError('ManifestInvalid', `${backend.name}: ${key} is too large to be a manifest`);
    }
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

/** A good signature only says that it is a manifest of ours, not that it is this backup's. */
function refuseOtherPlace(manifest: Manifest, place: BackupPlace): void {
  const differing = (['source', 'tier', 'id'] as const).filter((field) => manifest[field] !== place[field]);
  if (differing.length === 0) return;
  const what = differing.map((field) => `${field} is ${manifest[field]}`).join(', ');
  throw new HoldfastError('ManifestInvalid', `it belongs to another backup: its ${what}`, {
    advice: 'Somebody put it there. Use another copy of this backup.',
  });
}

function onObject(error: HoldfastError, backend: Backend, key: string): HoldfastError {
  return new HoldfastError(error.type, `${backend.name}: ${key}: ${error.message}`, {
    ...(error.advice !== undefined && { advice: error.advice }),
    cause: error,
  });
}
