import { query, type Catalog } from '../catalog/catalog.ts';
import type { CopyState } from '../catalog/record.ts';
import type { Backends } from '../config/open.ts';
import { messageOf } from '../errors.ts';
import { manifestKey, type BackupLocation } from '../repository/layout.ts';

/** Why objects without a manifest may be somebody's after all, or undefined when they are nobody's. */
export type FindClaim = (location: BackupLocation) => Promise<string | undefined>;

export interface ClaimOptions {
  /** The backend whose folder has no manifest. */
  readonly backend: string;
  /** All configured backends: another one may hold the manifest. */
  readonly backendNames: readonly string[];
  readonly backends: Backends;
  readonly catalog: () => Promise<Catalog>;
  readonly signal: AbortSignal;
}

/**
 * A manifest may be missing because somebody deleted it: the objects are a damaged copy then, and can be the only ones
 * left of a backup. They are nobody's only where the catalog says that there never was a copy, or, where it does not know
 * the backup, when no backend has a manifest of it. What cannot be asked claims too.
 */
export function claimFinder({ backend, backendNames, backends, catalog, signal }: ClaimOptions): FindClaim {
  // One that is away is waited for once, not once a folder.
  let silence: string | undefined;
  return async ({ source, tier, backup }) => {
    if (silence !== undefined) return silence;
    let known: Cataloged;
    try {
      known = await lookUp(await catalog(), backup, backend);
    } catch (error) {
      signal.throwIfAborted();
      silence = `the catalog cannot be asked whose they are: ${messageOf(error)}`;
      return silence;
    }
    if (known === 'copy') return 'a copy of a published backup whose manifest is missing; `holdfast heal` mends it';
    if (known === 'no copy') return undefined;
    for (const other of backendNames.filter((name) => name !== backend)) {
      try {
        const manifest = await (await backends.get(other)).head(manifestKey({ source, tier, backup }), signal);
        if (manifest) return `the backup is published on ${other} and the catalog does not know it`;
      } catch (error) {
        signal.throwIfAborted();
        return `${other} cannot be asked whether it holds the backup: ${messageOf(error)}`;
      }
    }
    return undefined;
  };
}

type Cataloged = 'unknown' | 'copy' | 'no copy';

/** A copy that failed was never published. */
const NEVER_PUBLISHED: CopyState = 'failed';

async function lookUp(catalog: Catalog, backup: string, backend: string): Promise<Cataloged> {
  const [found] = await query<{ copy: boolean }>(
    catalog,
    `SELECT EXISTS (SELECT FROM holdfast.copies
                     WHERE backup_id = backup.id AND backend = $2 AND state <> $3 AND backup.manifest IS NOT NULL) AS copy
       FROM holdfast.backups AS backup WHERE id = $1`,
    [backup, backend, NEVER_PUBLISHED],
  );
  if (found === undefined) return 'unknown';
  return found.copy ? 'copy' : 'no copy';
}
