import type { BackupLocation } from '../repository/layout.ts';
import { MANIFEST_FORMAT, MANIFEST_VERSION, type Manifest } from '../repository/manifest.ts';
import type { BackupStep, SealedBackup } from './run.ts';

/** Where the copies of a run lie on their backends. */
export function locationOf({ id, assignment }: BackupStep): BackupLocation {
  return { source: assignment.source, tier: assignment.tier, backup: id };
}

/** The manifest of a run: a pure function of what the workflow knows, so that every backend and every retry get the same. */
export function manifestOf(step: BackupStep, sealed: SealedBackup, holdfastVersion: string): Manifest {
  const { assignment } = step;
  return {
    format: MANIFEST_FORMAT,
    version: MANIFEST_VERSION,
    id: step.id,
    source: assignment.source,
    kind: assignment.kind,
    tier: assignment.tier,
    plan: assignment.plan,
    startedAt: step.startedAt,
    sealedAt: sealed.sealedAt,
    holdfastVersion,
    ...(sealed.database && { database: sealed.database }),
    environment: [...assignment.environment],
    warnings: [...assignment.warnings, ...sealed.warnings],
    parts: [...sealed.parts],
  };
}
