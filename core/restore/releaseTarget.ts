import { HoldfastError } from '../errors.ts';
import type { DatabaseAccess } from '../postgres/access.ts';
import { quoteIdentifier, quoteLiteral } from '../postgres/identifiers.ts';
import { oidsOf } from './swapDatabases.ts';
import { commentOn, isLeftOver, onServer, ownComment } from './targetDatabase.ts';

/** A whole database that still has its restore's mark. */
export interface MarkedTarget {
  readonly server: DatabaseAccess;
  readonly target: string;
  readonly mark: string;
  /** PostgreSQL's number of it, from `databaseOids`. */
  readonly oid: string;
}

/**
 * Lets a database go that was restored with `keepMark`: its comment is its own from now on, and no clean-up takes it for
 * unfinished. Nothing happens where it was done already. Throws RefusedForSafety when another database stands there.
 */
export async function releaseTarget({ server, target, mark, oid }: MarkedTarget, signal?: AbortSignal): Promise<void> {
  await onServer(server, signal, async (client) => {
    const [found] = await oidsOf(client, [target]);
    if (found !== oid)
      throw new HoldfastError('RefusedForSafety', `Database ${target} is not the one that was restored`, {
        advice: 'Somebody dropped or renamed it meanwhile: look with \\l in psql, and restore again.',
      });
    if (!(await isLeftOver(client, target, mark))) return;
    const own = ownComment(await commentOn(client, target));
    const comment = own === null ? 'NULL' : quoteLiteral(own);
    await client.query(`COMMENT ON DATABASE ${quoteIdentifier(target)} IS ${comment}`);
  });
}
