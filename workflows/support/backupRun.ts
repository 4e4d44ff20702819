import type { BandwidthLimits } from '../../core/backup/bandwidth.ts';
import type {
  BackupAssignment,
  BackupInput,
  BackupPhase,
  BackupProgress,
  BackupResult,
  BackupState,
  CopyState,
  PartProgress,
  ProgressReport,
  SealedBackup,
  StepProblem,
} from '../../core/backup/run.ts';
import type { LockHolder } from '../../core/lockHolder.ts';

/** What the workflow knows of its run while it runs. */
export interface BackupRun {
  id: string;
  readonly source: string;
  /** What was asked for: all there is to say of a run that ends before it has its assignment. */
  readonly request: BackupInput;
  startedAt: Date;
  phase: BackupPhase;
  waitingFor?: LockHolder;
  assignment?: BackupAssignment;
  /** Milliseconds since the epoch. */
  dumpBegun?: number;
  sealed?: SealedBackup;
  copies: CopyRun[];
  parts: readonly PartProgress[];
  problem?: StepProblem;
  readonly warnings: string[];
  /** What an operator set for this run. */
  readonly bandwidth: BandwidthLimits;
}

export interface CopyRun {
  readonly backend: string;
  state: CopyState;
  bytes: number;
  uploadedBytes: number;
  verifiedBytes: number;
  opened: boolean;
  uploadDuration?: number;
  verifyDuration?: number;
  problem?: StepProblem;
}

export function beginRun(id: string, request: BackupInput, startedAt: Date): BackupRun {
  return {
    id,
    source: request.source,
    request,
    startedAt,
    phase: 'preflight',
    copies: [],
    parts: [],
    warnings: [],
    bandwidth: {},
  };
}

/** What was found out or done so far does not count: the backup begins now, under another id. Warnings stay. */
export function beginAgain(run: BackupRun, id: string, now: Date): void {
  run.id = id;
  run.startedAt = now;
  run.copies = [];
  run.parts = [];
  delete run.waitingFor;
  delete run.assignment;
  delete run.dumpBegun;
  delete run.sealed;
}

/** What was said before is not said again. */
export function warn(run: BackupRun, ...warnings: readonly string[]): void {
  run.warnings.push(...warnings.filter((warning) => !run.warnings.includes(warning)));
}

export function assign(run: BackupRun, assignment: BackupAssignment): void {
  run.assignment = assignment;
  warn(run, ...assignment.warnings);
  run.copies = assignment.backends.map((backend) => ({
    backend,
    state: 'waiting',
    bytes: 0,
    uploadedBytes: 0,
    verifiedBytes: 0,
    opened: false,
  }));
}

export function takeReport(run: BackupRun, report: ProgressReport): void {
  if (report.parts) run.parts = report.parts;
  for (const copy of run.copies) {
    copy.uploadedBytes = report.uploaded?.[copy.backend] ?? copy.uploadedBytes;
    copy.verifiedBytes = report.verified?.[copy.backend] ?? copy.verifiedBytes;
  }
}

export function progressOf(run: BackupRun, now: number): BackupProgress {
  const elapsed = now - run.startedAt.getTime();
  const expected = run.assignment?.previous?.duration;
  const read = run.parts.reduce((sum, { originalBytes }) => sum + originalBytes, 0);
  const readingSince = run.phase === 'dump' && read > 0 ? run.dumpBegun : undefined;
  return {
    id: run.id,
    source: run.source,
    phase: run.phase,
    ...(run.waitingFor && { waitingFor: run.waitingFor }),
    ...(run.assignment && { plan: run.assignment.plan }),
    parts: run.parts,
    copies: run.copies.map((copy) => ({
      backend: copy.backend,
      state: copy.state,
      uploadedBytes: copy.uploadedBytes,
      verifiedBytes: copy.verifiedBytes,
      ...(run.bandwidth[copy.backend] !== undefined && { bandwidth: run.bandwidth[copy.backend] ?? null }),
      ...(copy.problem && { problem: copy.problem.message }),
    })),
    elapsed,
    ...(readingSince !== undefined && { rate: Math.round((1000 * read) / Math.max(1, now - readingSince)) }),
    ...(expected !== undefined && expected > elapsed && run.phase !== 'done' && { timeLeft: expected - elapsed }),
    warnings: run.warnings,
  };
}

/** The verdict, from the facts noted in the run and nothing else. */
export function resultOf(run: BackupRun, now: number): BackupResult {
  const { assignment, request } = run;
  const reasons = reasonsOf(run);
  return {
    id: run.id,
    source: run.source,
    plan: assignment?.plan ?? request.plan ?? '',
    kind: assignment?.kind ?? request.kind ?? 'full',
    tier: assignment?.tier ?? request.tier ?? 'manual',
    state: stateOf(run, reasons),
    reasons,
    ...(run.problem && { problem: run.problem }),
    startedAt: run.startedAt.toISOString(),
    duration: now - run.startedAt.getTime(),
    parts: run.sealed?.parts ?? [],
    copies: run.copies.map(({ backend, state, bytes, uploadDuration, verifyDuration, opened, problem }) => ({
      backend,
      state,
      bytes,
      opened,
      ...(uploadDuration !== undefined && { uploadDuration }),
      ...(verifyDuration !== undefined && { verifyDuration }),
      ...(problem && { problem }),
    })),
    requiredCopies: assignment?.requiredCopies ?? 0,
    warnings: run.warnings,
    catalog: 'recorded',
  };
}

export function copiesIn(run: BackupRun, ...states: readonly CopyState[]): CopyRun[] {
  return run.copies.filter((copy) => states.includes(copy.state));
}

function stateOf(run: BackupRun, reasons: readonly string[]): BackupState {
  const enough = run.assignment !== undefined && copiesIn(run, 'verified').length >= run.assignment.requiredCopies;
  if (run.problem !== undefined || !enough) return 'failed';
  return reasons.length === 0 ? 'verified' : 'degraded';
}

function reasonsOf(run: BackupRun): string[] {
  const reasons = run.problem ? [run.problem.message] : [];
  for (const copy of run.copies) {
    if (copy.state !== 'verified' && copy.problem) reasons.push(`No copy on ${copy.backend}: ${copy.problem.message}`);
  }
  if (run.assignment?.canOpen === false) {
    reasons.push('No key on this worker can open what the plan seals: the copies are proven stored, not opened.');
  }
  return [...new Set(reasons)];
}
