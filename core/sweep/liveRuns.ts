import { parseBackupId } from '../repository/backupId.ts';
import type { Writes } from './writers.ts';

/** A run under way that may write. What it did not say it may write is unset. */
export interface LiveRun extends Partial<Writes> {
  /** Its name, for whoever wants to look at it. */
  readonly run: string;
  readonly startedAt?: Date | undefined;
}

/** Asks which runs are under way. Rejects when that cannot be known; nothing is removed then. */
export type AskLiveRuns = () => Promise<readonly LiveRun[]>;

/** What somebody would like to remove. */
export interface Remains {
  /** Unset: in a spool, where no source is named. */
  readonly source?: string | undefined;
  readonly backup: string;
}

/** The run that may still write there, by name, or undefined when nobody can. */
export type FindWriter = (remains: Remains) => Promise<string | undefined>;

/** An answer is good for so many milliseconds: thousands of folders must not be thousands of questions. */
const ANSWER_LIFETIME = 2_000;

/** Asks anew as the answers grow old. */
export function writerFinder(ask: AskLiveRuns): FindWriter {
  let answer: readonly LiveRun[] = [];
  let askedAt = Number.NEGATIVE_INFINITY;
  return async (remains) => {
    if (performance.now() - askedAt > ANSWER_LIFETIME) {
      // The time before the question: what begins while it is answered counts as not asked for.
      const now = performance.now();
      answer = await ask();
      askedAt = now;
    }
    return answer.find((live) => mayWrite(live, remains))?.run;
  };
}

/**
 * In doubt a run may: one that names nothing writes anywhere. One that names a source and no backup is a heal, which may
 * write to all of the source, and to no spool. One that names a backup may have to begin again under a new id, which it
 * says a moment later: whatever began since it did can be its own.
 */
function mayWrite({ source, backup, startedAt }: LiveRun, remains: Remains): boolean {
  if (source === undefined || backup === remains.backup) return true;
  if (backup === undefined) return source === remains.source;
  const otherSource = remains.source !== undefined && source !== remains.source;
  return !otherSource && startedAt !== undefined && beganSince(remains.backup, startedAt);
}

/**
 * The run under way whose own backup this is, by name. Narrower than who may write there: a heal that is at work
 * on a backup does not make it one that is not finished yet.
 */
export function runThatMakes({ source, backup }: Required<Remains>, runs: readonly LiveRun[]): string | undefined {
  const own = runs.find((live) => {
    if (live.backup === backup) return true;
    const mayBegin = live.source === undefined || (live.source === source && live.backup !== undefined);
    return mayBegin && live.startedAt !== undefined && beganSince(backup, live.startedAt);
  });
  return own?.run;
}

/** Ids carry whole seconds. */
function beganSince(backup: string, time: Date): boolean {
  return parseBackupId(backup).time.getTime() >= Math.floor(time.getTime() / 1_000) * 1_000;
}
