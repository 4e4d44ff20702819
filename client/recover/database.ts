import { messageOf } from '../../core/errors.ts';
import { createRoles } from '../../core/restore/database/createRoles.ts';
import { reconcile } from '../../core/restore/reconcile/reconcile.ts';
import { releaseTarget } from '../../core/restore/database/releaseTarget.ts';
import { restoreDatabase } from '../../core/restore/database/restoreDatabase.ts';
import type { ChosenBackup, Reconciliation, RestoredDatabase } from '../../core/restore/run.ts';
import { databaseOids } from '../../core/restore/database/swapDatabases.ts';
import { dropLeftOvers } from '../../core/restore/database/targetDatabase.ts';
import type { RecoveryMeans } from './means.ts';
import type { PreparedDatabase } from './plan.ts';

export interface RecoveredDatabase extends RestoredDatabase {
  readonly name: string;
  readonly createdRoles: readonly string[];
  readonly reconciliation: Reconciliation;
}

/**
 * Restores a database, holds it against what was dumped, and does the rest of the recovery, whose last step lets go of the
 * database: until then it has the mark of what is unfinished. Where that is interrupted it is dropped. Where it fails otherwise the whole database stays, and it is said:
 * on the worst day it may be the only one there is.
 */
export async function withDatabase<Result>(
  database: PreparedDatabase,
  chosen: ChosenBackup,
  means: RecoveryMeans,
  rest: (release: () => Promise<void>) => Promise<Result>,
): Promise<{ readonly database: RecoveredDatabase; readonly result: Result }> {
  const { wish, description } = database;
  const { warn, signal } = means;
  const createdRoles = wish.createRoles ? await createRoles(wish.server, description, signal) : [];
  try {
    const restored = await fill(database, chosen, means);
    const { reconciliation, result } = await finish(database, means, rest);
    return { database: { name: wish.target, createdRoles, ...restored, reconciliation }, result };
  } catch (error) {
    if (createdRoles.length > 0) warn(`these roles were created, and stay: ${createdRoles.join(', ')}`);
    throw error;
  }
}

async function fill(
  { wish, clients, mark, unfinished }: PreparedDatabase,
  { copies, manifest }: ChosenBackup,
  { openingKeys, signal, onProgress, passOver }: RecoveryMeans,
): Promise<RestoredDatabase> {
  const restored = await restoreDatabase({
    ...wish,
    target: unfinished,
    copies,
    manifest,
    openingKeys,
    mark,
    keepMark: true,
    clients,
    signal,
    onProgress: ({ phase, backend, bytes, totalBytes }) =>
      onProgress(`restoring ${phase} of ${wish.target} from ${backend}`, bytes, totalBytes),
  });
  passOver(restored.passedOver);
  return restored;
}

async function finish<Result>(
  { wish, description, mark, unfinished }: PreparedDatabase,
  { signal, onProgress, warn }: RecoveryMeans,
  rest: (release: () => Promise<void>) => Promise<Result>,
): Promise<{ reconciliation: Reconciliation; result: Result }> {
  const { server, target } = wish;
  const [oid = ''] = await databaseOids(server, [unfinished]);
  const release = () => releaseTarget({ server, target: unfinished, name: target, mark, oid });
  let compared = false;
  try {
    onProgress(`comparing ${target} with what was dumped`, 0, 0);
    const access = { ...server, name: unfinished };
    const reconciliation = await reconcile({ ...wish, database: access, expected: description.inventory, signal });
    compared = true;
    const result = await rest(release);
    return { reconciliation, result };
  } catch (error) {
    if (signal.aborted) {
      await dropLeftOvers({ server, target: unfinished, mark }).catch((dropping: unknown) =>
        warn(`the unfinished database ${unfinished} could not be dropped: ${messageOf(dropping)}`),
      );
      throw signal.reason;
    }
    const fate = compared ? 'was compared with what was dumped' : 'was not compared with what was dumped';
    warn(`database ${target} was restored to its end and is there; it ${fate}`);
    await release().catch((cause: unknown) => warn(messageOf(cause)));
    throw error;
  }
}
