import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { isHoldfastError } from '../../../core/errors.ts';
import { reconcile } from '../../../core/restore/reconcile.ts';
import { findOnPath } from '../../../core/tools/programPath.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { createDatabase, type TestDatabase } from '../../support/servers.ts';
import { accessTo, runSql } from '../postgres/support.ts';
import { backUp, databasesLike, newTarget, onServer, restore } from './support.ts';

test('security labels come back where their provider is loaded', async (context) => {
  const provider = await buildProvider(context);
  if (provider === undefined) return;
  const source = await createDatabase(context);
  const target = await newTarget(context);
  await labelled(source, provider);
  const backup = await backUp(context, source, { dump: { jobs: 2 } });
  await restore(backup, target);
  assert.deepEqual(await labelsOf(target), await labelsOf(source));
  const { differences, notCarried } = await reconcile({ database: accessTo(target), expected: backup.inventory });
  assert.deepEqual(differences, []);
  for (const sentence of [
    'security label shop on public.orders.card is restored only where its provider is loaded',
    'security label of database shop: d is not restored: set it again where its provider is loaded',
  ])
    assert.ok(notCarried.includes(sentence), sentence);
});

test('[7] where the provider is not loaded the restore fails, by the name of provider and object, and leaves nothing', async (context) => {
  const provider = await buildProvider(context);
  if (provider === undefined) return;
  const source = await createDatabase(context);
  const target = await newTarget(context);
  await labelled(source, provider);
  await onServer(`alter database ${source.name} reset session_preload_libraries`);
  const backup = await backUp(context, source);
  await assert.rejects(restore(backup, target), (error) => {
    assert.ok(isHoldfastError(error, 'RestoreFailed'));
    assert.match(error.message, /^security label SCHEMA app cannot be restored: .*provider "shop" is not loaded/);
    return true;
  });
  assert.deepEqual(await databasesLike(target.name), []);
});

async function labelled(source: TestDatabase, provider: string): Promise<void> {
  await onServer(`alter database ${source.name} set session_preload_libraries = '${provider}'`);
  await runSql(
    source,
    `create schema app; create table orders (id serial, card text); create view cards as select card from orders; create type size as enum ('s');
     create function f(int) returns int language sql as 'select $1'; select lo_create(4711);
     security label for shop on schema app is 'inside'; security label for shop on table orders is 'secret'; security label for shop on column orders.card is 'it''s top "secret"';
     security label for shop on view cards is 'v'; security label for shop on type size is 't'; security label for shop on function f(int) is 'f'; security label for shop on sequence orders_id_seq is 's';
     security label for shop on large object 4711 is 'l'; security label for shop on database ${source.name} is 'd'`,
  );
}

async function labelsOf(database: TestDatabase): Promise<Record<string, unknown>[]> {
  return runSql(
    database,
    `select objtype, objname, provider, label from pg_seclabels where objtype <> 'database' order by 1, 2`,
  );
}

/** No package ships a provider but sepgsql, which wants SELinux. This is the smallest there can be; it takes any label. */
const PROVIDER = `
  struct magic { int length, version, max_args, max_keys, name_length, float8_by_value; char abi[32]; };
  static const struct magic data = { sizeof(struct magic), MAJOR * 100, 100, 32, 64, 1, "PostgreSQL" };
  const void *Pg_magic_func(void) { return &data; }
  extern void register_label_provider(const char *name, void (*check)(const void *object, const char *label));
  static void take_any(const void *object, const char *label) {}
  void _PG_init(void) { register_label_provider("shop", take_any); }`;

/** Path of the provider's library. Skips the test where it cannot be built. */
async function buildProvider(context: TestContext): Promise<string | undefined> {
  const [server] = await onServer(`select current_setting('server_version_num')::int / 10000 as major`);
  const major = Number(server?.major);
  const obstacle = await obstacleTo(major);
  if (obstacle !== undefined) {
    context.skip(obstacle);
    return undefined;
  }
  const directory = await temporaryDirectory(context, { reachable: true });
  const [code, library] = [join(directory, 'provider.c'), join(directory, 'provider.so')];
  await writeFile(code, PROVIDER);
  await promisify(execFile)('gcc', ['-shared', '-fPIC', `-DMAJOR=${major}`, '-o', library, code]);
  return library;
}

async function obstacleTo(major: number): Promise<string | undefined> {
  // The block that a library is recognized by is another before 15 and from 18 on.
  if (major < 15 || major > 17) return `the provider is written for servers 15 to 17, not ${major}`;
  if (await findOnPath('gcc', process.env)) return undefined;
  return 'a provider of security labels is built with gcc, which is not on this machine';
}
