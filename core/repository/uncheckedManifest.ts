import { z } from 'zod';
import { HoldfastError } from '../errors.ts';
import type { BackupLocation } from './layout.ts';
import { locationOf } from './location.ts';
import { manifestSchema, signedManifestSchema, type Manifest } from './manifest.ts';

/**
 * Reads a manifest without looking at its signature: for the day on which the signing key's public half is not at hand.
 * Anybody who may write to the storage could have written it; what is sealed still opens only as what it was sealed as.
 * Throws ManifestInvalid.
 */
export function readUncheckedManifest(
  bytes: Buffer,
  { location, where }: { readonly location: BackupLocation; readonly where: string },
): Manifest {
  const parsed = signedManifestSchema.extend({ manifest: manifestSchema }).safeParse(jsonOf(bytes, where));
  if (parsed.success) {
    refuseOtherPlace(parsed.data.manifest, location, where);
    return parsed.data.manifest;
  }
  throw new HoldfastError('ManifestInvalid', `${where} is no manifest: ${z.prettifyError(parsed.error)}`, {
    advice: 'Use the copy on another backend, or the release of Holdfast that wrote it.',
  });
}

function jsonOf(bytes: Buffer, where: string): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new HoldfastError('ManifestInvalid', `${where} is not JSON`, {
      advice: 'Use the copy on another backend.',
      cause,
    });
  }
}

function refuseOtherPlace(manifest: Manifest, place: BackupLocation, where: string): void {
  const found = locationOf(manifest);
  const differing = (['source', 'tier', 'backup'] as const).filter((field) => found[field] !== place[field]);
  if (differing.length === 0) return;
  const what = differing.map((field) => `its ${field} is ${found[field]}`).join(', ');
  throw new HoldfastError('ManifestInvalid', `${where} belongs to another backup: ${what}.`, {
    advice: 'Somebody put it there. Use the copy on another backend.',
  });
}
