import type { Command } from 'commander';

/** The server that a recovery restores into. */
export interface ServerOptions {
  readonly databaseUrl?: string;
  readonly passwordFile?: string;
}

export function addServerOptions(command: Command): Command {
  return command
    .option(
      '--database-url <url>',
      'the server, e.g. postgresql://postgres@db:5432/postgres, without a password; PGHOST, PGPORT, PGUSER, PGSSLMODE say what it leaves out',
    )
    .option('--password-file <file>', 'holds the password (default: PGPASSWORD, else PGPASSFILE or ~/.pgpass)');
}
