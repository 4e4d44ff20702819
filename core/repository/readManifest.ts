import { createHash } from 'node:crypto';
import { HoldfastError } from '../errors.ts';
import type { CheckingKey } from '../seal/keys.ts';
import type { Backend } from '../storage/backend.ts';
import { manifestKey, type BackupLocation } from './layout.ts';
import type { Manifest } from './manifest.ts';
import { readSignedManifest } from './signedManifest.ts';
import { readUncheckedManifest } from './uncheckedManifest.ts';

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
  place: BackupLocation,
  checkingKeys: readonly CheckingKey[] | undefined,
  signal?: AbortSignal,
): Promise<ReadManifest> {
  const { bytes, where } = await readManifestObject(backend, place, signal);
  const expected = { location: place, where };
  const manifest = checkingKeys
    ? readSignedManifest(bytes, checkingKeys, expected)
    : readUncheckedManifest(bytes, expected);
  return {
    manifest,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    signatureChecked: checkingKeys !== undefined,
  };
}

/** The same together with the bytes as they lie there, for who writes them elsewhere. The signature is always checked. */
export async function readManifestBytes(
  backend: Backend,
  place: BackupLocation,
  checkingKeys: readonly CheckingKey[],
  signal?: AbortSignal,
): Promise<{ readonly manifest: Manifest; readonly bytes: Buffer }> {
  const { bytes, where } = await readManifestObject(backend, place, signal);
  return { manifest: readSignedManifest(bytes, checkingKeys, { location: place, where }), bytes };
}

/** Manifests are a few KB; with millions of listed paths they would still be far below this. */
const MANIFEST_BYTES_AT_MOST = 64 * 2 ** 20;

async function readManifestObject(
  backend: Backend,
  place: BackupLocation,
  signal: AbortSignal | undefined,
): Promise<{ readonly bytes: Buffer; readonly where: string }> {
  const key = manifestKey(place);
  const where = `${backend.name}: ${key}`;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of await backend.get(key, signal ? { signal } : {})) {
    bytes += (chunk as Buffer).length;
    if (bytes > MANIFEST_BYTES_AT_MOST) {
      throw new HoldfastError('ManifestInvalid', `${where} is too large to be a manifest`);
    }
    chunks.push(chunk as Buffer);
  }
  return { bytes: Buffer.concat(chunks), where };
}
