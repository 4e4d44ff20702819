import type pg from 'pg';
import type { PartSource } from '../backup/part.ts';
import { startProcess } from '../process/childProcess.ts';
import type { DatabaseAccess } from './access.ts';
import { programPath, type ClientPrograms } from './clients.ts';
import { databaseSettingsSql } from './databaseSettings.ts';
import type { DatabaseDumpOptions } from './dumpOptions.ts';
import { generatedStream } from './generated.ts';
import { quoteConnectionValue } from './identifiers.ts';
import type { ClientEnvironment } from './passwordFile.ts';

export interface GlobalsJob {
  readonly access: DatabaseAccess;
  readonly options: DatabaseDumpOptions;
  readonly environment: ClientEnvironment;
  readonly clients: ClientPrograms;
  /** The snapshot's session. */
  readonly client: pg.Client;
}

/**
 * What a dump of one database leaves out, as SQL for psql: the cluster's roles, memberships and tablespaces from
 * pg_dumpall, then the database's own settings. Without password hashes pg_dumpall reads only what every role may.
 */
export async function globalsPart(job: GlobalsJob): Promise<PartSource> {
  const settings = await databaseSettingsSql(job.client);
  async function* text(signal: AbortSignal) {
    const { stdout, finished } = startProcess({
      command: programPath(job.clients, 'pg_dumpall'),
      args: [
        '--globals-only',
        '--no-password',
        // By default it writes in the database's encoding; what follows it here is UTF-8.
        '--encoding=UTF8',
        // A connection string in which nothing of the name is special.
        `--database=dbname=${quoteConnectionValue(job.access.name)}`,
        `--lock-wait-timeout=${Math.ceil(job.access.lockTimeout)}`,
        ...(job.access.rolePasswords ? [] : ['--no-role-passwords']),
      ],
      environment: job.environment.variables,
      stallTimeout: job.options.stallTimeout,
      signal,
    });
    yield* stdout as AsyncIterable<Buffer>;
    await finished;
    yield settings;
  }
  return { part: 'globals', format: 'sql', lane: 'beside', open: (signal) => generatedStream(text, signal) };
}
