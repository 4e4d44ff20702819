import type pg from 'pg';
import { HoldfastError } from '../../errors.ts';
import { queryError, type DatabaseAccess } from '../../postgres/access.ts';
import { onServer } from './onServer.ts';
import { renameDatabases } from './renameDatabases.ts';
import { oidsOf, unmarking } from './swapDatabases.ts';

/** A whole database that still has its restore's mark. */
export interface MarkedTarget {
  readonly server: DatabaseAccess;
  /** Name that it was made under. */
  readonly target: string;
  /** Name that it is to have. Unset: the one that it was made under. */
  readonly name?: string | undefined;
  readonly mark: string;
  /** PostgreSQL's number of it, from `databaseOids`. */
  readonly oid: string;
}

/**
 * Lets a database go that was restored with `keepMark`: from one commit on it has its name, its comment is its own, and no
 * clean-up takes it for unfinished. Nothing happens where it was done already. Throws RefusedForSafety when another
 * database stands there, or has taken the name.
 */
export async function releaseTarget(marked: MarkedTarget, signal?: AbortSignal): Promise<void> {
  const { server, target, name = target } = marked;
  try {
    await (name === target ? unmark(marked, signal) : giveName({ ...marked, name }, signal));
  } catch (error) {
    throw queryError(server, `giving the restored database its name ${name}`, error);
  }
}

function unmark({ server, target, mark, oid }: MarkedTarget, signal?: AbortSignal): Promise<void> {
  return onServer(server, signal, async (client) => {
    const [found] = await oidsOf(client, [target]);
    if (found !== oid) throw another(target);
    for (const statement of await unmarking(client, target, mark)) await client.query(statement);
  });
}

async function giveName({ server, target, name, mark, oid }: MarkedTarget & { name: string }, signal?: AbortSignal) {
  const work = async (client: pg.Client) => {
    const [unfinished, found] = await oidsOf(client, [target, name]);
    if (found === oid) return undefined;
    if (unfinished !== oid) throw another(target);
    if (found !== undefined)
      throw new HoldfastError('RefusedForSafety', `Database ${name} has come to be while its backup was restored`, {
        advice: 'It is left alone. Restore under another name, or rename it first.',
      });
    return { renamings: [[target, name]] as const, comments: await unmarking(client, target, mark) };
  };
  await renameDatabases(server, work, signal);
}

function another(target: string): HoldfastError {
  return new HoldfastError('RefusedForSafety', `Database ${target} is not the one that was restored`, {
    advice: 'Somebody dropped or renamed it meanwhile: look with \\l in psql, and restore again.',
  });
}
