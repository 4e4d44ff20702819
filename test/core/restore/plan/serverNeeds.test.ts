import assert from 'node:assert/strict';
import { copyFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { inventorySchema } from '../../../../core/postgres/inventorySchema.ts';
import { codeOf } from '../../../../core/errors.ts';
import type { Finding } from '../../../../core/postgres/finding.ts';
import { tryStatement } from '../../../../core/restore/plan/tryStatement.ts';
import { temporaryDirectory } from '../../../support/directories.ts';
import { buildPostgresLibrary } from '../../../support/postgresLibrary.ts';
import { createDatabase } from '../../../support/servers.ts';
import { createRole, openSession, runProgram, runSql } from '../../postgres/support.ts';
import {
  backUp,
  databasesLike,
  findingsOf,
  needing,
  newTarget,
  onServer,
  restore,
  serverMajor,
  type StoredDatabase,
} from '../support.ts';

/** What a database needs of its server beside extensions, roles and tablespaces, and a server that lacks it. */

async function only(findings: Promise<Finding[]>): Promise<Finding> {
  const [finding, ...others] = await findings;
  assert.ok(finding);
  assert.deepEqual(others, []);
  return finding;
}

async function backUpOf(context: TestContext, sql: string): Promise<StoredDatabase> {
  const source = await createDatabase(context);
  await runSql(source, sql);
  return backUp(context, source);
}

/** A library with a function, where no package looks for it. */
async function ownLibrary(context: TestContext): Promise<string> {
  const source = await createDatabase(context);
  const directory = (await runProgram(source, 'pg_config', ['--pkglibdir'])).trim();
  const library = join(await temporaryDirectory(context, { reachable: true }), "it's own.so");
  await copyFile(join(directory, 'pg_trgm.so'), library);
  return library;
}

test('[7] [26] a library that the server lacks is refused with the functions that need it, and so would the restore be', async (context) => {
  const library = await ownLibrary(context);
  const source = await createDatabase(context);
  const target = await newTarget(context);
  await runSql(
    source,
    `create extension hstore; create schema "Odd ""one";
     create function "Odd ""one".trigrams(text) returns text[] language c as '${library.replaceAll("'", "''")}', 'show_trgm'`,
  );
  const backup = await backUp(context, source);
  assert.deepEqual(backup.inventory.needs?.libraries, [
    { library, functions: ['"Odd ""one".trigrams(pg_catalog.text)'] },
  ]);
  assert.deepEqual(backup.inventory.needs.extensionLibraries, ['$libdir/hstore']);
  assert.deepEqual(await findingsOf(backup), []);
  await rename(library, `${library}.away`);
  const finding = await only(findingsOf(backup));
  assert.deepEqual([finding.severity, finding.type], ['failure', 'RefusedForSafety']);
  assert.ok(finding.message.includes(`library ${library}, which "Odd ""one".trigrams(pg_catalog.text) needs`));
  assert.match(finding.message, /No such file/);
  await assert.rejects(restore(backup, target), { type: 'RestoreFailed', message: /No such file/ });
  assert.deepEqual(await databasesLike(target.name), []);
  const single = await findingsOf(backup, { tables: ['t'] });
  assert.deepEqual(
    single.map(({ severity }) => severity),
    ['warning'],
  );
});

test('[26] a role that may not load libraries is told what to look for, and not refused', async (context) => {
  const source = await createDatabase(context);
  await runSql(
    source,
    `create function trigrams(text) returns text[] language c as '$libdir/pg_trgm', 'show_trgm'; alter function trigrams(text) owner to pg_monitor`,
  );
  const backup = await backUp(context, source);
  const role = await createRole(source, 'createdb');
  const server = { ...role, name: 'postgres' };
  const found = await findingsOf(needing(backup, { labelProviders: ['shop'] }), { server, noOwner: true });
  assert.deepEqual(
    found.map(({ severity }) => severity),
    ['warning', 'warning'],
  );
  const told = found.map(({ message }) => message).join('\n');
  assert.match(told, /only a superuser can create functions in C \(public\.trigrams\(/);
  assert.match(told, /provider "shop", .* may come with a library that could not be loaded here/);
  const certain = needing(backup, { libraries: [], labelProviders: ['shop'] });
  assert.equal((await only(findingsOf(certain, { server, noOwner: true }))).severity, 'failure');
});

test('[26] a library of another version is refused; one that refuses by itself or ends the session is told', async (context) => {
  const backup = await backUpOf(context, 'create table t (v int)');
  const major = await serverMajor();
  // Of a server's own functions; 21 is ERROR in all of these versions.
  const refusing = await buildPostgresLibrary(
    context,
    major,
    `extern int errstart(int level, const char *domain);
     extern int errmsg_internal(const char *text, ...);
     extern void errfinish(const char *file, int line, const char *function);
     void _PG_init(void) { errstart(21, 0); errmsg_internal("not in this session"); errfinish("f", 1, "g"); }`,
  );
  const ending = await buildPostgresLibrary(
    context,
    major,
    `
     #include <signal.h>
     #include <unistd.h>
     void _PG_init(void) { kill(getpid(), SIGTERM); }`,
  );
  const other = await buildPostgresLibrary(context, major === 15 ? 16 : 15, '');
  if (refusing === undefined || ending === undefined || other === undefined) return;
  const found = async (library: string) => {
    const needs = { libraries: [{ library, functions: ['public.f()'] }] };
    return only(findingsOf(needing(backup, needs)));
  };
  const refused = await found(refusing);
  assert.equal(refused.severity, 'warning');
  assert.match(refused.message, /could not be loaded here: not in this session/);
  const ended = await found(ending);
  assert.equal(ended.severity, 'warning');
  assert.match(ended.message, /ended the session that loaded library .*library\.so/);
  const incompatible = await found(other);
  assert.equal(incompatible.severity, 'failure');
  assert.match(incompatible.message, /cannot be loaded on the server: incompatible library/);
});

test('what is tried on the server ends by itself, or is given up', async (context) => {
  const session = await openSession(context, await createDatabase(context));
  assert.equal(codeOf(await tryStatement(session, 'select pg_sleep(60)', 100)), '57014');
  assert.equal(await tryStatement(session, 'create table t (v int)'), undefined);
  assert.equal(codeOf(await tryStatement(session, 'select from t')), '42P01');
  await assert.rejects(tryStatement(session, 'set local statement_timeout = 0; select pg_sleep(5)', 100), /timeout/);
});

test('[7] [26] locales and collations that the machine of the server does not know are refused by name', async (context) => {
  const backup = await backUpOf(
    context,
    `create collation own (provider = icu, locale = 'de'); create collation plain (locale = 'C.UTF-8');
     create table t (v text collate "de-x-icu", w text collate own, x text collate "C")`,
  );
  const { needs } = backup.inventory;
  assert.deepEqual([needs?.collations, needs?.locales, needs?.icu], [['de-x-icu'], ['C.UTF-8'], true]);
  assert.deepEqual(await findingsOf(backup), []);
  const own = await only(findingsOf(needing(backup, { locales: ['C.UTF-8', "xx_XX'; --"] })));
  assert.match(own.message, /does not know locale xx_XX'; --, which a collation is made of/);
  const collations = await only(findingsOf(needing(backup, { collations: ['de-x-icu', 'xx_XX.utf8'] })));
  assert.match(collations.message, /no collation "xx_XX\.utf8"/);
  assert.match(collations.advice, /pg_import_system_collations.* in database postgres/);
  for (const changes of [{ collate: 'xx_XX.utf8' }, { ctype: 'xx_XX.utf8', localeProvider: 'icu', locale: 'de' }]) {
    const unknown = await only(findingsOf(needing(backup, {}, changes), { tables: ['t'] }));
    assert.match(unknown.message, /does not know the database's locale xx_XX\.utf8/);
    assert.equal(unknown.severity, 'failure');
  }
});

test('a collation of another encoding is not the one that is needed', async (context) => {
  const backup = await backUpOf(context, 'create table t (v text)');
  const [collation] = await onServer(
    `select collname as name, pg_encoding_to_char(collencoding) as encoding from pg_collation where collencoding > 0 limit 1`,
  );
  if (collation === undefined) return context.skip('the server has no collation that is of one encoding');
  const collations = [String(collation.name)];
  assert.deepEqual(await findingsOf(needing(backup, { collations }, { encoding: String(collation.encoding) })), []);
  await only(findingsOf(needing(backup, { collations }, { encoding: 'LATIN10' })));
});

test('[7] [26] a language whose extension is missing, and files of dictionaries, are refused by name', async (context) => {
  const backup = await backUpOf(
    context,
    `create function pg_catalog.odd_call_handler() returns language_handler language c as '$libdir/plpgsql', 'plpgsql_call_handler';
     create language odd handler pg_catalog.odd_call_handler;
     create text search dictionary "Stop" (template = snowball, language = german, stopwords = german);
     create text search dictionary spell (template = ispell, dictfile = ispell_sample, afffile = ispell_sample, stopwords = english);
     create text search dictionary no_file (template = simple, accept = false)`,
  );
  const { needs } = backup.inventory;
  assert.deepEqual([needs?.languages, needs?.libraries], [['odd'], []]);
  const options = [
    { name: 'dictfile', value: 'ispell_sample' },
    { name: 'afffile', value: 'ispell_sample' },
    { name: 'stopwords', value: 'english' },
  ];
  assert.deepEqual(needs?.dictionaries, [
    { name: 'public."Stop"', template: 'snowball', options: [{ name: 'stopwords', value: 'german' }] },
    { name: 'public.spell', template: 'ispell', options },
  ]);
  const language = await only(findingsOf(backup));
  assert.match(language.message, /language odd is not installed/);
  const dictionaries = ['ispell', 'simple', 'snowball', 'synonym', 'thesaurus'].map((template) => ({
    name: `public.${template}`,
    template,
    options: [
      {
        name: { synonym: 'synonyms', ispell: 'afffile', thesaurus: 'dictfile' }[template] ?? 'stopwords',
        value: 'holdfast_nothing',
      },
    ],
  }));
  const missing = await findingsOf(needing(backup, { languages: ['plpgsql'], dictionaries }));
  assert.equal(missing.length, 5);
  for (const { message, severity } of missing) {
    assert.match(message, /dictionary public\.\w+ cannot be made on the server: could not open .*holdfast_nothing/);
    assert.equal(severity, 'failure');
  }
  assert.deepEqual(await onServer(`select from pg_ts_dict where dictname = 'holdfast_look'`), []);
});

test('an inventory of an earlier release, without what is needed, is taken as it is', async (context) => {
  const { inventory, ...backup } = await backUpOf(context, 'create table t (v int)');
  const { needs: _needs, ...earlier } = inventory;
  assert.deepEqual(await findingsOf({ ...backup, inventory: inventorySchema.parse(earlier) }), []);
});
