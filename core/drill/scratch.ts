import { createHash } from 'node:crypto';
import type { DatabaseAccess } from '../postgres/access.ts';
import { dropLeftOvers } from '../restore/database/targetDatabase.ts';

/** Where a drill tries a database out. One per source: there never are two drills of one source at a time. */
export interface ScratchDatabase {
  /** A maintenance connection. */
  readonly server: DatabaseAccess;
  readonly name: string;
  /** As in RestoreDatabaseOptions. */
  readonly mark: string;
  readonly spared?: readonly string[] | undefined;
}

/** What makes a source of this installation another one than all that may use the same server for their drills. */
export interface ScratchOwner {
  readonly source: string;
  readonly taskQueue: string;
  /** Of the database that is backed up, as configured. */
  readonly database: { readonly host: string; readonly port: number; readonly name: string };
}

const READABLE_LENGTH = 20;
const HASH_LENGTH = 16;

/** Names the scratch database of a source, and marks it: the mark never leaves it, so that it can be dropped at any time. */
export function scratchDatabase(owner: ScratchOwner, server: DatabaseAccess): ScratchDatabase {
  const { source, taskQueue, database } = owner;
  const identity = [taskQueue, source, database.host, database.port, database.name].join('\0');
  const hash = createHash('sha256').update(identity).digest('hex').slice(0, HASH_LENGTH);
  return { server, name: `holdfast_drill_${source.slice(0, READABLE_LENGTH)}_${hash}`, mark: `drill/${hash}` };
}

/**
 * Drops the scratch database, whole or not, and what killed drills of the same source left. Nothing happens without one,
 * and a database of that name without the mark is left alone.
 */
export async function dropScratchDatabase({ name: target, ...scratch }: ScratchDatabase): Promise<void> {
  await dropLeftOvers({ ...scratch, target });
}
