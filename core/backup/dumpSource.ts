import { rm } from 'node:fs/promises';
import path from 'node:path';
import type { PlanConfiguration, SourceConfiguration } from '../config/schema.ts';
import { findTar } from '../files/tarProgram.ts';
import { treePart } from '../files/treePart.ts';
import type { DatabaseAccess } from '../postgres/access.ts';
import { openDatabaseDump } from '../postgres/dump.ts';
import { createTemporaryDirectory } from '../process/temporaryDirectory.ts';
import type { ManifestPart } from '../repository/manifest.ts';
import type { SealingKey } from '../seal/keys.ts';
import type { seal } from '../seal/seal.ts';
import { beginAttempt } from '../spool/attemptWriter.ts';
import type { Receivers } from '../spool/room.ts';
import type { Spool } from '../spool/spool.ts';
import { plausibilityWarnings } from './databaseFloors.ts';
import { findSealed, saveSealed } from './finishedAttempt.ts';
import type { PartSource } from './part.ts';
import type { BackupAssignment, PartProgress, SealedBackup } from './run.ts';
import { sealParts } from './sealParts.ts';
import { includesDatabase, treesOf } from './scope.ts';

export interface DumpSourceOptions {
  readonly id: string;
  readonly assignment: BackupAssignment;
  readonly source: SourceConfiguration;
  readonly plan: PlanConfiguration;
  /** The source's database with its password, where it has one. */
  readonly access: DatabaseAccess | undefined;
  readonly recipients: readonly SealingKey[];
  readonly spool: Spool;
  /** Unset: on this thread. */
  readonly seal?: typeof seal;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: PartProgress) => void;
}

/**
 * Reads a source once, sealed into a new attempt in the spool. The attempt is whole if and only if this resolves; after
 * a failure it is empty, and those who were already sending it notice. Where an earlier call has come to its end, and only
 * the news of it was lost, its result is given again.
 */
export async function dumpSource(options: DumpSourceOptions): Promise<SealedBackup> {
  const { id, spool, plan, signal } = options;
  const finished = await findSealed(spool, id);
  if (finished !== undefined) return finished;
  const attempt = await beginAttempt(spool, id, { receivers: receiversOf(options) });
  try {
    const sealed = await withSourceParts(options, async ({ parts, database }) => {
      const sealedParts = await sealParts({
        backup: id,
        source: options.assignment.source,
        parts,
        jobs: plan.jobs,
        attempt,
        compression: plan.compression,
        recipients: options.recipients,
        seal: options.seal,
        signal,
        onProgress: options.onProgress,
      });
      return {
        attempt: path.basename(attempt.directory),
        sealedAt: new Date().toISOString(),
        parts: sealedParts,
        ...(database && { database }),
        warnings: warningsOf(sealedParts),
      };
    });
    const warnings = plausibilityWarnings(sealed, plan.floors, options.assignment);
    const result = { ...sealed, warnings: [...sealed.warnings, ...warnings] };
    await saveSealed(attempt.directory, result);
    await attempt.end();
    return result;
  } catch (error) {
    await attempt.discard();
    throw error;
  } finally {
    await attempt.close();
  }
}

/** One part more than `jobs` is read at a time: a tree, beside the database. */
function receiversOf({ assignment, plan, signal }: DumpSourceOptions): Receivers {
  return {
    backends: assignment.backends,
    required: assignment.requiredCopies,
    openParts: plan.jobs + 1,
    patience: plan.stallTimeout,
    signal,
  };
}

interface SourceParts {
  readonly parts: readonly PartSource[];
  readonly database?: NonNullable<SealedBackup['database']>;
}

/**
 * Opens what the kind asks for and hands it on. A snapshot whose session died meanwhile fails the dump here: what was
 * read on it is not to be trusted.
 */
async function withSourceParts<Result>(
  options: DumpSourceOptions,
  use: (parts: SourceParts) => Promise<Result>,
): Promise<Result> {
  const { access, plan, signal, assignment } = options;
  const trees = await treeParts(options);
  if (access === undefined || !includesDatabase(assignment.kind)) return use({ parts: trees });
  // The password file lies here, and only while it is needed.
  const temporaryDirectory = await createTemporaryDirectory();
  try {
    const { jobs, inventory, stallTimeout } = plan;
    const dump = await openDatabaseDump(access, { jobs, inventory, stallTimeout, temporaryDirectory, signal });
    try {
      const result = await use({ parts: [...dump.parts, ...trees], database: { ...dump.facts } });
      await dump.close();
      return result;
    } catch (error) {
      // The first failure is the reason; that the snapshot ended too is its consequence.
      await Promise.allSettled([dump.close()]);
      throw error;
    }
  } finally {
    await rm(temporaryDirectory, { recursive: true, force: true });
  }
}

async function treeParts({ source, plan, assignment }: DumpSourceOptions): Promise<PartSource[]> {
  const trees = treesOf(source, assignment.kind);
  const tar = trees.length > 0 ? await findTar() : undefined;
  return trees.map(([tree, configuration]) => treePart({ tree, configuration, stallTimeout: plan.stallTimeout, tar }));
}

const NONE = { count: 0, paths: [] };

/** What a reader of the result should know about trees that could not be kept as they were. */
function warningsOf(parts: readonly ManifestPart[]): string[] {
  return parts.flatMap(({ part, tree }) => {
    if (tree === undefined) return [];
    const lists = [
      ['changed while being read', tree.changed],
      ['vanished while being read', tree.vanished],
      ['could not be read', tree.unreadable],
      ['skipped: sockets and the like are not kept', tree.skipped],
      ['CANNOT BE RESTORED, their paths are too long: only extract --as tar gives them back', tree.longPaths ?? NONE],
    ] as const;
    return lists
      .filter(([, list]) => list.count > 0)
      .map(
        ([what, list]) =>
          `${part}: ${list.count} ${what}: ${list.paths.slice(0, 5).join(', ')}${list.count > 5 ? ', ...' : ''}`,
      );
  });
}
