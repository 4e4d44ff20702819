import type { Configuration } from '../config/schema.ts';
import type { Keys } from '../config/open.ts';
import { HoldfastError } from '../errors.ts';
import { inspectTree } from '../files/inspectTree.ts';
import type { DatabaseAccess } from '../postgres/access.ts';
import { checkFloors } from '../postgres/floors.ts';
import { inspectDatabase } from '../postgres/preflight.ts';
import type { Spool } from '../spool/spool.ts';
import { spoolShortage } from '../spool/spoolShortage.ts';
import { acceptFindings } from './acceptFindings.ts';
import { chooseJob, type BackupJob } from './chooseJob.ts';
import type { BackupAssignment, BackupInput, PreviousBackup } from './run.ts';
import { includesDatabase, treesOf } from './scope.ts';

export interface PreflightOptions {
  readonly input: BackupInput;
  readonly configuration: Configuration;
  readonly keys: Keys;
  readonly spool: Spool;
  readonly spoolQueue: string;
  readonly host: string;
  readonly databaseAccess: (source: string) => Promise<DatabaseAccess | undefined>;
  /** The last verified backup to compare with; its warnings say why there is none to be had. */
  readonly findPrevious: (job: BackupJob, warnings: string[]) => Promise<PreviousBackup | undefined>;
  readonly signal: AbortSignal;
}

/**
 * Finds out what the job is and whether it can succeed, before anything is read or written. What would fail the backup
 * is thrown, all of it in one message; what would only lessen it becomes a warning.
 */
export async function preflight(options: PreflightOptions): Promise<BackupAssignment> {
  const { input, configuration, keys, spool, signal } = options;
  const job = chooseJob(configuration, input);
  const warnings: string[] = [];
  const recipients = await keys.sealing(job.plan.encryptTo);
  await keys.signing();
  const opening = await keys.opening((name) => warnings.push(`The key ${name} cannot be loaded here.`));
  const [previous] = await Promise.all([
    options.findPrevious(job, warnings),
    inspectTrees(job, warnings, signal),
    inspectSourceDatabase(job, await options.databaseAccess(input.source), warnings, signal),
  ]);
  await expectSpoolSpace(spool, previous);
  return {
    source: input.source,
    plan: job.planName,
    kind: job.kind,
    tier: job.tier,
    backends: job.backends,
    requiredCopies: job.requiredCopies,
    canOpen: opening.some(({ id }) => recipients.some((recipient) => recipient.id === id)),
    spoolQueue: options.spoolQueue,
    host: options.host,
    takeoverAfter: configuration.spool.takeoverAfter,
    warnings,
    acceptShrink: input.acceptShrink ?? false,
    environment: job.source.environment,
    ...(previous && { previous }),
  };
}

async function inspectSourceDatabase(
  { kind, plan }: BackupJob,
  access: DatabaseAccess | undefined,
  warnings: string[],
  signal: AbortSignal,
): Promise<void> {
  if (access === undefined || !includesDatabase(kind)) return;
  const { server, findings } = await inspectDatabase(access, { signal });
  const empty = checkFloors({ name: access.name, tables: server.tables }, plan.floors);
  warnings.push(...acceptFindings([...findings, ...empty]));
}

async function inspectTrees({ source, kind }: BackupJob, warnings: string[], signal: AbortSignal): Promise<void> {
  for (const [tree, configuration] of treesOf(source, kind)) {
    const { findings } = await inspectTree(tree, configuration, signal);
    for (const { level, message, advice, error } of findings) {
      if (level === 'failed')
        throw error ?? new HoldfastError('FilesUnreadable', message, advice === undefined ? {} : { advice });
      warnings.push(message);
    }
  }
}

async function expectSpoolSpace(spool: Spool, previous: PreviousBackup | undefined): Promise<void> {
  const shortage = await spoolShortage(spool, previous?.storedBytes ?? 0);
  if (shortage === undefined) return;
  throw new HoldfastError('SpoolFailed', `${shortage}.`, {
    advice: 'Free space there, or point spool.path at a larger disk.',
    retryable: false,
  });
}
