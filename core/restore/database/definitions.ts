import type { DatabaseAccess } from '../../postgres/access.ts';
import { whileTheyMayCreate, type Creators } from './lendCreate.ts';
import { jobsArgument, restoreFile, type RestoreSession } from './restorePrograms.ts';
import type { DefinitionsRun } from './selectEntries.ts';

/** Everything of an archive but its rows. */
export interface Definitions {
  readonly session: RestoreSession;
  /** The archive. */
  readonly file: string;
  readonly target: DatabaseAccess;
  /** Unset where everything may be given to its owner as it is. */
  readonly creators: Creators | undefined;
  /** Sessions at most. */
  readonly jobs: number;
  readonly signal: AbortSignal | undefined;
}

/** Restores what was selected, one run after the other. Throws as `restoreFile` does. */
export async function restoreDefinitions(definitions: Definitions, runs: readonly DefinitionsRun[]): Promise<void> {
  const { session, file, target, creators, jobs, signal } = definitions;
  for (const { args, parallel, creates } of runs) {
    const sessions = parallel ? [jobsArgument(session, jobs)] : [];
    const run = () => restoreFile(session, file, [...sessions, ...args], signal);
    await (creates && creators ? whileTheyMayCreate(target, creators, run, signal) : run());
  }
}
