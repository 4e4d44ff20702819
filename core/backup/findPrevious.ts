import { lastVerified } from '../catalog/read.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Backends, Keys } from '../config/open.ts';
import { isHoldfastError, messageOf } from '../errors.ts';
import { newestBackup } from '../repository/listRepository.ts';
import type { Manifest } from '../repository/manifest.ts';
import type { BackupJob } from './chooseJob.ts';
import { dumpBytesOf } from './databaseFloors.ts';
import type { PreviousBackup } from './run.ts';

export interface FindPreviousOptions {
  readonly source: string;
  readonly job: BackupJob;
  readonly catalog: () => Promise<Catalog>;
  readonly backends: Backends;
  readonly keys: Keys;
  readonly signal: AbortSignal;
}

/**
 * The last verified backup of the same source and kind: from the catalog, or, where that is away, from the first backend
 * that can be read. Whatever could not be asked is added to `warnings`.
 */
export async function findPrevious(
  options: FindPreviousOptions,
  warnings: string[],
): Promise<PreviousBackup | undefined> {
  const { source, job } = options;
  try {
    const found = await lastVerified(await options.catalog(), source, job.kind);
    if (found?.manifest === undefined) return undefined;
    const duration = Date.parse(found.endedAt) - Date.parse(found.startedAt);
    return { ...factsOf(found.manifest), duration };
  } catch (error) {
    if (!isHoldfastError(error, 'CatalogUnavailable')) throw error;
    warnings.push(`${error.message}; the last backup is looked up in the storages.`);
    return findInStorages(options, warnings);
  }
}

async function findInStorages({ source, job, backends, keys, signal }: FindPreviousOptions, warnings: string[]) {
  const checking = await keys.checking();
  for (const name of job.backends) {
    try {
      const backend = await backends.get(name);
      const { newest } = await newestBackup(backend, checking, { source, kind: job.kind }, signal);
      return newest && factsOf(newest.manifest);
    } catch (error) {
      signal.throwIfAborted();
      warnings.push(`The last backup could not be looked up on ${name}: ${messageOf(error)}`);
    }
  }
  return undefined;
}

function factsOf(manifest: Manifest): PreviousBackup {
  const { database, parts } = manifest;
  const dumpBytes = dumpBytesOf(parts);
  return {
    id: manifest.id,
    storedBytes: parts.reduce((sum, { storedBytes }) => sum + storedBytes, 0),
    ...(database &&
      dumpBytes !== undefined && {
        database: { name: database.name, systemIdentifier: database.systemIdentifier, dumpBytes },
      }),
  };
}
