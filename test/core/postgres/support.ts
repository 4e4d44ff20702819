import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { Client } from 'pg';
import type { PartStream } from '../../../core/backup/part.ts';
import type { DatabaseAccess } from '../../../core/postgres/access.ts';
import { openDatabaseDump, type DatabaseDump } from '../../../core/postgres/dump.ts';
import type { DatabaseDumpOptions } from '../../../core/postgres/dumpOptions.ts';
import { inventorySchema, type Inventory } from '../../../core/postgres/inventorySchema.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { testPostgres, type TestDatabase } from '../../support/servers.ts';
import { querySession, type SessionLogin } from '../../support/session.ts';

export function accessTo(database: TestDatabase, changes: Partial<DatabaseAccess> = {}): DatabaseAccess {
  return { ...database, sslmode: 'prefer', lockTimeout: 10_000, rolePasswords: false, ...changes };
}

/** A session of the test's own, closed after it. */
export async function openSession(
  context: TestContext,
  database: TestDatabase,
  application = 'the test',
): Promise<Client> {
  const { name, ...login } = database;
  const client = new Client({ ...login, database: name, application_name: application });
  client.on('error', () => undefined);
  await client.connect();
  context.after(() => client.end().catch(() => undefined));
  return client;
}

export async function runSql(database: SessionLogin, sql: string): Promise<Record<string, unknown>[]> {
  return querySession(database, async (client) => (await client.query<Record<string, unknown>>(sql)).rows);
}

/** A login of the test's own with the given options. It goes with the test server: its database must be gone before. */
export async function createRole(database: TestDatabase, options = ''): Promise<DatabaseAccess> {
  const role = `reader_${database.name}`;
  await runSql(database, `create role ${role} login password 'pa:ss\\wörd' ${options}`);
  return accessTo(database, { user: role, password: 'pa:ss\\wörd' });
}

export async function fixtureSql(): Promise<string> {
  return readFile(new URL('fixture.sql', import.meta.url), 'utf8');
}

export async function openDump(
  context: TestContext,
  access: DatabaseAccess,
  options: Partial<DatabaseDumpOptions> = {},
): Promise<DatabaseDump> {
  const directory = options.temporaryDirectory ?? (await temporaryDirectory(context));
  const dump = await openDatabaseDump(access, {
    jobs: 1,
    inventory: 'fingerprints',
    stallTimeout: 30_000,
    temporaryDirectory: directory,
    ...options,
  });
  context.after(() => dump.close().catch(() => undefined));
  return dump;
}

/** Reads every part into a file of its name. */
export async function saveParts(dump: DatabaseDump, directory: string): Promise<void> {
  const signal = new AbortController().signal;
  await Promise.all(
    dump.parts.map(async (part) => {
      const stream = part.open(signal);
      await pipeline(copiesOf(stream.plaintext), createWriteStream(join(directory, part.part)));
      await stream.finished;
    }),
  );
}

/** A chunk is only good until the next one is asked for; whoever writes it behind the reader's back needs his own. */
async function* copiesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) yield Buffer.from(chunk);
}

/** Reads a part to its end, whichever that is. */
export async function readOn({ plaintext }: PartStream): Promise<void> {
  try {
    for await (const chunk of plaintext) void chunk;
  } catch {
    // Why it ended is what `finished` says.
  }
}

/** Dumps and reads everything into a fresh directory. */
export async function dumpInto(
  context: TestContext,
  access: DatabaseAccess,
  options: Partial<DatabaseDumpOptions> = {},
): Promise<{ directory: string; inventory: Inventory; parts: string[]; clientVersion: string }> {
  const directory = await temporaryDirectory(context);
  const dump = await openDump(context, access, options);
  await saveParts(dump, directory);
  await dump.close();
  const inventory = inventorySchema.parse(JSON.parse(await readFile(join(directory, 'inventory'), 'utf8')));
  const { clientVersion } = dump.facts;
  return { directory, inventory, parts: dump.parts.map((part) => part.part), clientVersion };
}

const execute = promisify(execFile);

export async function runProgram(database: TestDatabase, program: string, args: readonly string[]): Promise<string> {
  const { host, port, user, password, name } = database;
  const { stdout } = await execute(join(testPostgres().binDirectory, program), args, {
    env: { PGHOST: host, PGPORT: String(port), PGUSER: user, PGPASSWORD: password, PGDATABASE: name },
    maxBuffer: 2 ** 26,
  });
  return stdout;
}

/**
 * What a restore must give back exactly: all but names and numbers of the server and database themselves. Columns that a
 * restore has put behind inherited ones stand there in the next dump already.
 */
export function comparable(inventory: Inventory): unknown {
  const { database, serverVersion: _server, notCarried, ...rest } = inventory;
  const carriedNowhere = notCarried?.filter(({ kind }) => kind !== 'order of columns');
  return { ...rest, notCarried: carriedNowhere, encoding: database.encoding };
}

export async function assertRejects(promise: Promise<unknown>, type: string, message: RegExp): Promise<void> {
  await assert.rejects(promise, (error: Error & { type?: string }) => {
    assert.equal(error.type, type, error.message);
    assert.match(error.message, message);
    return true;
  });
}
