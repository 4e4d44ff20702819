import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { test, type TestContext } from 'node:test';
import { isHoldfastError } from '../../../core/errors.ts';
import { reconcile } from '../../../core/restore/reconcile/reconcile.ts';
import { buildPostgresLibrary } from '../../support/postgresLibrary.ts';
import { createDatabase, type TestDatabase } from '../../support/servers.ts';
import { accessTo, runSql } from '../postgres/support.ts';
import { backUp, databasesLike, findingsOf, needing, newTarget, onServer, restore, serverMajor } from './support.ts';

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

test('[26] whether the provider will be there is known before anything changes, by what loads it', async (context) => {
  const provider = await buildProvider(context);
  if (provider === undefined) return;
  const source = await createDatabase(context);
  await labelled(source, provider);
  await onServer(`alter database ${source.name} set session_preload_libraries = '$libdir/hstore', '${provider}'`);
  // The server's own schemas are in no dump, nor are the labels of what is in them.
  const other = await buildPostgresLibrary(context, await serverMajor(), OTHER_PROVIDER);
  await runSql(source, `load '${other}'; security label for other on table pg_catalog.pg_class is 'x'`);
  const backup = await backUp(context, source);
  assert.deepEqual(backup.inventory.needs?.labelProviders, ['shop']);
  assert.deepEqual(await findingsOf(backup), []);
  const unset = needing(backup, {}, { settings: [] });
  const [refused, ...others] = await findingsOf(unset);
  assert.deepEqual(others, []);
  assert.deepEqual([refused?.severity, refused?.type], ['failure', 'RefusedForSafety']);
  assert.match(refused?.message ?? '', /labels are of provider "shop", which is not loaded on the server/);
  assert.match(refused?.advice ?? '', /ALTER ROLE "postgres" SET session_preload_libraries/);
  assert.deepEqual(await findingsOf(needing(unset, { extensionLibraries: [provider] })), []);
  assert.deepEqual(await findingsOf(needing(unset, { labelProviders: [] })), []);
  const odd = needing(backup, { labelProviders: [`"shop"; drop table '`] });
  assert.ok(
    (await findingsOf(odd))[0]?.message.includes(`provider ${'"'.repeat(3)}shop${'"'.repeat(2)}; drop table '"`),
  );
  await rm(provider);
  assert.deepEqual(
    (await findingsOf(backup)).map(({ severity }) => severity),
    ['failure'],
  );
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
  extern void register_label_provider(const char *name, void (*check)(const void *object, const char *label));
  static void take_any(const void *object, const char *label) {}
  void _PG_init(void) { register_label_provider("shop", take_any); }`;

const OTHER_PROVIDER = PROVIDER.replace('"shop"', '"other"');

/** Path of the provider's library. Skips the test where it cannot be built. */
async function buildProvider(context: TestContext): Promise<string | undefined> {
  return buildPostgresLibrary(context, await serverMajor(), PROVIDER);
}
