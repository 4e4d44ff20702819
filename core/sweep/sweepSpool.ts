import { lstat, readdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { codeOf, messageOf } from '../errors.ts';
import { isBackupId } from '../repository/backupId.ts';
import { removeFromSpool, spoolFailure, SPOOL_ID_FILE, type Spool } from '../spool/spool.ts';
import { tooYoung } from './age.ts';
import { writerFinder, type AskLiveRuns } from './liveRuns.ts';
import { openReport, type SweepListener } from './report.ts';
import type { Remnant, SweepReport, SweepRules } from './run.ts';

export interface SweepSpoolOptions extends SweepRules, SweepListener {
  readonly spool: Spool;
  readonly liveRuns: AskLiveRuns;
  readonly now: Date;
  readonly signal: AbortSignal;
}

/**
 * Removes from this host's spool the folders of dead runs. Rejects with `SpoolFailed` when the spool cannot be read, and
 * with what `liveRuns` rejects with.
 */
export async function sweepSpool(options: SweepSpoolOptions): Promise<SweepReport> {
  const { spool, signal } = options;
  const entries = (await listSpool(spool)).filter((name) => name !== SPOOL_ID_FILE);
  const backups = entries.filter(isBackupId);
  const report = openReport(`spool on ${hostname()}`, options, entries.length - backups.length);
  const findWriter = writerFinder(options.liveRuns);
  for (const backup of backups) {
    signal.throwIfAborted();
    const { changedAt, ...entry } = await measure(spool, backup);
    const why =
      tooYoung({ backup, changedAt }, options.minimumAge, options.now) ?? underWay(await findWriter({ backup }));
    if (why !== undefined) {
      report.onKept({ ...entry, why });
      continue;
    }
    try {
      if (!options.dryRun) await removeFromSpool(spool, backup);
      report.onSwept(entry);
    } catch (error) {
      report.onProblem(messageOf(error));
    }
  }
  return report.finish();
}

function underWay(writer: string | undefined): string | undefined {
  return writer === undefined ? undefined : `${writer} is under way and may write there`;
}

async function listSpool(spool: Spool): Promise<string[]> {
  try {
    return (await readdir(spool.path)).toSorted();
  } catch (error) {
    throw spoolFailure(error, spool.path);
  }
}

async function measure(spool: Spool, backup: string): Promise<Remnant & { changedAt: Date }> {
  const folder = path.join(spool.path, backup);
  try {
    const names = ['', ...(await readdir(folder, { recursive: true }))];
    const found = await Promise.all(names.map((name) => lstat(path.join(folder, name)).catch(ignoreMissing)));
    const files = found.flatMap((each) => (each?.isFile() ? [each] : []));
    return {
      folder: backup,
      objects: files.length,
      uploads: 0,
      bytes: files.reduce((sum, { size }) => sum + size, 0),
      changedAt: new Date(Math.max(0, ...found.map((each) => each?.mtimeMs ?? 0))),
    };
  } catch (error) {
    // Its own run has removed it meanwhile.
    if (codeOf(error) === 'ENOENT') return { folder: backup, objects: 0, uploads: 0, bytes: 0, changedAt: new Date() };
    throw spoolFailure(error, folder);
  }
}

function ignoreMissing(error: unknown): undefined {
  if (codeOf(error) !== 'ENOENT') throw error;
}
