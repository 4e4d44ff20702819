import type { CheckConfiguration } from '../config/sourceSchema.ts';
import { HoldfastError } from '../errors.ts';
import type { ClientPrograms } from '../postgres/clients.ts';
import type { DatabaseAccess } from '../postgres/access.ts';
import type { Manifest } from '../repository/manifest.ts';
import { describeCompared } from '../restore/reconcile/describeCompared.ts';
import { preflightTarget } from '../restore/plan/preflightTarget.ts';
import { readDescription } from '../restore/choose/readDescription.ts';
import { reconcile } from '../restore/reconcile/reconcile.ts';
import { restoreDatabase } from '../restore/database/restoreDatabase.ts';
import type {
  DatabaseDescription,
  Reconciliation,
  RestoreCopy,
  RestoreScope,
  RestoredDatabase,
} from '../restore/run.ts';
import { runChecks, type CheckOutcome } from '../restore/reconcile/sqlChecks.ts';
import type { OpeningKey } from '../seal/keys.ts';
import { cutDifferences } from './differences.ts';
import type { DrilledPart } from './run.ts';
import { dropScratchDatabase, type ScratchDatabase } from './scratch.ts';

export interface DrillDatabaseOptions extends Pick<RestoreScope, 'noOwner' | 'noPrivileges'> {
  /** The one copy that is tried out: no other one steps in for it. */
  readonly copy: RestoreCopy;
  readonly manifest: Manifest;
  readonly openingKeys: readonly OpeningKey[];
  readonly scratch: ScratchDatabase;
  /** As `chooseRestorePrograms` chose them. */
  readonly clients: ClientPrograms;
  readonly jobs: number;
  /** The source's own. */
  readonly checks: readonly CheckConfiguration[];
  readonly signal?: AbortSignal | undefined;
  /** Told which phase began, and how many uncompressed bytes were read so far. */
  readonly onProgress?: ((phase: string, bytes: number) => void) | undefined;
}

/**
 * Restores the database of one copy into the scratch database, holds it against the inventory that was taken with the
 * dump, asks the source's own checks, and drops it, however it went. Differences and checks that do not pass are in the
 * answer. Throws what `restoreDatabase` throws, and RestoreFailed where the server lacks something, by name.
 */
export async function drillDatabase(options: DrillDatabaseOptions): Promise<DrilledPart> {
  const { scratch, copy, manifest, openingKeys, signal } = options;
  // Of a drill that was killed, and its worker with it.
  await dropScratchDatabase(scratch);
  const begun = performance.now();
  const description = await readDescription([copy], manifest, openingKeys, signal);
  const remarks = await inspectServer(options, description);
  const prepared = Math.round(performance.now() - begun);
  const progress = startProgress(options);
  const restored = await restoreDatabase({
    ...options,
    copies: [copy],
    server: scratch.server,
    target: scratch.name,
    mark: scratch.mark,
    spared: scratch.spared,
    keepMark: true,
    onProgress: ({ phase, bytes }) => progress.at(phase, bytes),
  });
  const database = { ...scratch.server, name: scratch.name };
  try {
    const { reconciliation, checks, phases } = await examine(options, database, description, progress);
    return partOf(options, { restored, reconciliation, checks, phases, prepared, remarks });
  } finally {
    // One that cannot be dropped now is dropped by the end of the run, which also says so where it cannot.
    await dropScratchDatabase(scratch).catch(() => undefined);
  }
}

/** What the server lacks fails the drill before anything is made: so would a restore, on the worst day. */
async function inspectServer(options: DrillDatabaseOptions, description: DatabaseDescription): Promise<string[]> {
  const { scratch, manifest, noOwner, noPrivileges, signal } = options;
  const { server, name: target, mark } = scratch;
  const scope = { noOwner, noPrivileges };
  const { findings } = await preflightTarget({
    manifest,
    description,
    server,
    target,
    mark,
    ...scope,
    signal,
  });
  const failures = findings.filter(({ severity }) => severity === 'failure');
  if (failures.length === 0) return findings.map(({ message }) => message);
  throw new HoldfastError(
    failures.find(({ type }) => type === 'ToolMissing')?.type ?? 'RestoreFailed',
    `The server of the drill cannot take the backup: ${failures.map(({ message }) => message).join('; ')}`,
    { advice: failures.map(({ advice }) => advice).join(' ') },
  );
}

async function examine(
  { checks, noOwner, noPrivileges, signal }: DrillDatabaseOptions,
  database: DatabaseAccess,
  { inventory }: DatabaseDescription,
  progress: Progress,
) {
  progress.at('reconciliation');
  const reconciliation = await reconcile({ database, expected: inventory, noOwner, noPrivileges, signal });
  progress.at('checks');
  const begun = performance.now();
  const outcomes = await runChecks(database, checks, signal);
  const phases = { reconciliation: reconciliation.duration, checks: Math.round(performance.now() - begun) };
  return { reconciliation, checks: outcomes, phases };
}

interface Progress {
  readonly at: (phase: string, bytes?: number) => void;
}

function startProgress({ onProgress }: DrillDatabaseOptions): Progress {
  let read = 0;
  return {
    at: (phase, bytes = read) => {
      read = bytes;
      onProgress?.(phase, bytes);
    },
  };
}

interface Findings {
  readonly restored: RestoredDatabase;
  readonly reconciliation: Reconciliation;
  readonly checks: readonly CheckOutcome[];
  readonly phases: Readonly<Record<string, number>>;
  /** Milliseconds before the restore. */
  readonly prepared: number;
  readonly remarks: readonly string[];
}

function partOf({ manifest }: DrillDatabaseOptions, findings: Findings): DrilledPart {
  const { restored, reconciliation, checks, phases, prepared, remarks } = findings;
  const { total, ...durations } = restored.durations;
  const between = total - Object.values(durations).reduce((sum, each) => sum + each, 0);
  return {
    part: 'database',
    phases: { preparation: prepared + between, ...durations, ...phases },
    bytes: databaseBytes(manifest),
    differences: cutDifferences(reconciliation.differences),
    differenceCount: reconciliation.differenceCount,
    compared: describeCompared(reconciliation.compared),
    checks: checks.map(cutCheck),
    warnings: [...remarks, ...restored.warnings, ...reconciliation.notices],
  };
}

/** Uncompressed bytes of all parts that are the database's. */
export function databaseBytes({ parts }: Manifest): number {
  return parts.filter(({ tree }) => tree === undefined).reduce((sum, { originalBytes }) => sum + originalBytes, 0);
}

const CHECK_LENGTH = 300;

function cutCheck({ found, ...check }: CheckOutcome): CheckOutcome {
  return { ...check, ...(found !== undefined && { found: found.slice(0, CHECK_LENGTH) }) };
}
