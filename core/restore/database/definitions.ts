import type { DatabaseAccess } from '../../postgres/access.ts';
import { whileTheyMayCreate, type Creators } from './lendCreate.ts';
import { jobsArgument, restoreFile, type RestoreSession } from './restorePrograms.ts';
import type { EntrySelection } from './selectEntries.ts';

/** Everything of an archive but its rows. */
export interface Definitions {
  readonly session: RestoreSession;
  /** The archive. */
  readonly file: string;
  readonly selection: Pick<EntrySelection, 'definitions' | 'stages' | 'secured' | 'last'>;
  readonly target: DatabaseAccess;
  /** Unset where everything may be given to its owner as it is. */
  readonly creators: Creators | undefined;
  readonly signal: AbortSignal | undefined;
}

/** What rows need to be there. Throws as `restoreFile` does, and so do the others. */
export async function restoreBeforeRows(definitions: Definitions): Promise<void> {
  const { selection, creators } = definitions;
  if (creators === undefined) return run(definitions, ['--section=pre-data', ...selection.definitions]);
  const { schemas, contents, privilegesOnSchemas } = selection.stages;
  for (const stage of [schemas, contents])
    if (stage) await whileOwnersMayCreate(definitions, () => run(definitions, ['--section=pre-data', ...stage]));
  // Privileges are of the section of what stands before them in the list: here of none.
  if (privilegesOnSchemas) await run(definitions, privilegesOnSchemas);
}

/** Indexes, constraints, and what else is faster or only right once rows are there, in so many sessions. */
export async function restoreAfterRows(definitions: Definitions, jobs: number): Promise<void> {
  const { session, selection } = definitions;
  const section = ['--section=post-data', jobsArgument(session, jobs)];
  await whileOwnersMayCreate(definitions, async () => {
    for (const chosen of [selection.definitions, ...selection.secured.map((each) => [each])])
      await run(definitions, [...section, ...chosen]);
  });
}

/** What would stand in the way of everything else. */
export async function restoreLast(definitions: Definitions): Promise<void> {
  for (const chosen of definitions.selection.last) await run(definitions, ['--section=post-data', chosen]);
}

function run({ session, file, signal }: Definitions, args: readonly string[]): Promise<void> {
  return restoreFile(session, file, args, signal);
}

function whileOwnersMayCreate({ target, creators, signal }: Definitions, work: () => Promise<void>): Promise<void> {
  return creators ? whileTheyMayCreate(target, creators, work, signal) : work();
}
