import { createHash } from 'node:crypto';
import type { BackupRecord, CopyRecord, VerificationRecord } from '../catalog/record.ts';
import type { Manifest } from '../repository/manifest.ts';
import type { CopyResult, RecordedRun } from './run.ts';

/** The manifest of a run together with its signed bytes as they stand on the backends. */
export interface PublishedManifest {
  readonly manifest: Manifest;
  readonly bytes: Buffer;
}

/** A finished run as the catalog keeps it. `published` is missing where no manifest was written. */
export function backupRecordOf(
  { result, workflowId, runId }: RecordedRun,
  published: PublishedManifest | undefined,
): BackupRecord {
  const { problem, reasons } = result;
  return {
    id: result.id,
    source: result.source,
    kind: result.kind,
    tier: result.tier,
    ...(result.plan !== '' && { plan: result.plan }),
    state: result.state,
    requiredCopies: Math.max(1, result.requiredCopies),
    ...(result.state !== 'verified' && {
      problem: { type: problem?.type ?? 'TooFewCopies', message: problem?.message ?? reasons.join('\n') },
    }),
    startedAt: result.startedAt,
    endedAt: endOf(result),
    ...(published && {
      manifest: published.manifest,
      manifestSha256: createHash('sha256').update(published.bytes).digest('hex'),
    }),
    workflowId,
    runId,
    copies: result.copies.map((copy) => copyRecordOf(copy, endOf(result))),
  };
}

/** How each proven copy was proven, for the catalog's list of looks. */
export function verificationsOf({ result }: RecordedRun): VerificationRecord[] {
  return result.copies
    .filter(({ state }) => state === 'verified')
    .map(({ backend, opened, verifyDuration }) => ({
      backupId: result.id,
      backend,
      depth: opened ? 'opened' : 'stored',
      outcome: 'passed',
      at: endOf(result),
      durationMs: verifyDuration ?? 0,
    }));
}

function copyRecordOf(copy: CopyResult, at: string): CopyRecord {
  const { backend, bytes, uploadDuration, verifyDuration, problem } = copy;
  return {
    backend,
    state: copy.state === 'verified' ? 'verified' : 'failed',
    ...(problem && { problem: { type: problem.type, message: problem.message } }),
    bytes,
    ...(uploadDuration !== undefined && { uploadMs: uploadDuration }),
    ...(copy.state === 'verified' && { verifiedAt: at }),
    ...(verifyDuration !== undefined && { verifyMs: verifyDuration }),
  };
}

function endOf({ startedAt, duration }: RecordedRun['result']): string {
  return new Date(Date.parse(startedAt) + duration).toISOString();
}
