import { manifestOf } from '../../core/backup/describeBackup.ts';
import type { PublishedManifest } from '../../core/backup/backupRecord.ts';
import type { BackupStep, SealedBackup } from '../../core/backup/run.ts';
import type { Manifest } from '../../core/repository/manifest.ts';
import { signManifest } from '../../core/repository/signedManifest.ts';
import type { Dependencies } from '../dependencies.ts';

export function manifestFor({ holdfastVersion }: Dependencies, step: BackupStep, sealed: SealedBackup): Manifest {
  return manifestOf(step, sealed, holdfastVersion);
}

/** Ed25519 signatures are deterministic (RFC 8032): every step that signs the same manifest gets the same bytes. */
export async function signedManifestFor(
  dependencies: Dependencies,
  step: BackupStep,
  sealed: SealedBackup,
): Promise<PublishedManifest> {
  const manifest = manifestFor(dependencies, step, sealed);
  return { manifest, bytes: signManifest(manifest, await dependencies.keys.signing()) };
}
