import { HoldfastError } from '../errors.ts';
import { findClientPrograms, programPath, type ClientPrograms } from './clients.ts';

/**
 * Path of a pg_restore that reads what this pg_dump wrote: the newest one here, which must not be older. Throws
 * `ToolMissing`. An archive's format version grows with pg_dump's major version, and pg_restore refuses newer ones.
 */
export async function findRestoreProgram(clientVersion: string): Promise<string> {
  const wanted = Number.parseInt(clientVersion, 10);
  const [newest] = await findClientPrograms();
  if (newest !== undefined && newest.major >= wanted) return programPath(newest, 'pg_restore');
  throw noRestoreProgram(newest, clientVersion);
}

/** Says that none of the installed pg_restore, the newest of which is given, reads what this pg_dump wrote. */
export function noRestoreProgram(newest: ClientPrograms | undefined, clientVersion: string): HoldfastError {
  const wanted = Number.parseInt(clientVersion, 10);
  return new HoldfastError(
    'ToolMissing',
    newest
      ? `pg_restore ${newest.version} is older than the pg_dump ${clientVersion} that wrote this`
      : 'pg_restore is not installed',
    {
      advice: `Install the client programs of PostgreSQL ${wanted} or newer (postgresql-client-${wanted} on Debian and Ubuntu).`,
    },
  );
}
