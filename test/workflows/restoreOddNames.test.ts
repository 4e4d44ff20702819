import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { quoteIdentifier } from '../../core/postgres/identifiers.ts';
import { onServer } from '../core/restore/support.ts';
import { runSql } from '../core/postgres/support.ts';
import { createApplication, type Application } from '../support/application.ts';
import { fileScope } from '../support/fileScope.ts';
import { countCustomers, restore } from '../support/restores.ts';
import { querySession } from '../support/session.ts';

/** Databases whose names PostgreSQL takes and careless programs do not, all of them templates. */

const scope = fileScope();
const names = { asked: `--help ü'"\\ $swap$ $(id) `, elsewhere: `host=evil dbname=shop ` };
let app: Application;

before(async () => {
  app = await createApplication(scope);
  const { shop } = app.settings.sources;
  const [plan] = Object.values(app.settings.plans ?? {});
  assert.ok(shop?.database && plan);
  for (const [source, start] of Object.entries(names)) {
    const name = start + app.database.name;
    await onServer(`create database ${quoteIdentifier(name)} template template0`);
    scope.after(() => dropAll(start));
    await runSql(
      { ...app.database, name },
      'create table customers (id int primary key); insert into customers values (1), (2)',
    );
    await onServer(`alter database ${quoteIdentifier(name)} is_template true`);
    Object.assign(app.settings.sources, { [source]: { database: { ...shop.database, name } } });
    Object.assign(app.settings.plans ?? {}, { [source]: { ...plan, source } });
  }
  await app.save();
  await app.startWorker();
});

async function templatesLike(start: string): Promise<string[]> {
  const like = `'${start.replaceAll("'", "''")}'`;
  const rows = await onServer(
    `select datname from pg_database where starts_with(datname, ${like}) and datistemplate order by length(datname), 1`,
  );
  return rows.map(({ datname }) => String(datname));
}

/** What begins so is the file's own, cut or not. */
async function dropAll(start: string): Promise<void> {
  for (const name of await templatesLike(start))
    await onServer(`alter database ${quoteIdentifier(name)} is_template false`);
  const like = `'${start.replaceAll("'", "''")}'`;
  for (const { datname } of await onServer(`select datname from pg_database where starts_with(datname, ${like})`))
    await onServer(`drop database ${quoteIdentifier(String(datname))} with (force)`);
}

for (const [source, start] of Object.entries(names))
  test(`a database called ${JSON.stringify(start)} is backed up, replaced, restored beside, gone back to and dropped`, async () => {
    const name = start + app.database.name;
    const backup = await app.backup(source);
    assert.equal(backup.code, 0, JSON.stringify(backup.document));
    await runSql({ ...app.database, name }, 'delete from customers where id = 2');
    const beside = await restore(app, 'latest', '--source', source);
    assert.equal(beside.code, 0, JSON.stringify(beside.document));
    assert.equal(await countCustomers(app, beside.document.database), 2);
    const { code, document } = await restore(
      app,
      'latest',
      '--source',
      source,
      '--mode',
      'replace',
      `--confirm=${name}`,
    );
    assert.equal(code, 0, JSON.stringify(document));
    assert.ok(document.kept && document.safetyBackup);
    assert.deepEqual(document.reconciliation?.differences, []);
    assert.equal(await countCustomers(app, name), 2);
    assert.equal(await countCustomers(app, document.kept.name), 1);
    const { goBack } = document.kept;
    await querySession({ ...app.database, name: 'postgres' }, async (client) => {
      for (const sql of goBack) await client.query(sql);
    });
    assert.equal(await countCustomers(app, name), 1);
    const again = await restore(app, 'latest', '--source', source, '--mode', 'replace', `--confirm=${name}`);
    assert.equal(again.code, 0, JSON.stringify(again.document));
    // One by one: nothing is dropped in a transaction.
    for (const sql of again.document.kept?.drop.split(/(?<=;) /) ?? []) await onServer(sql);
    // The one in place, the one beside, and the one that was gone back from.
    const left = await templatesLike(start);
    assert.equal(left.length, 3, left.join());
    assert.ok(left.includes(name) && !left.includes(again.document.kept?.name ?? ''));
    assert.equal(await countCustomers(app, name), 2);
    const drill = await app.ask('drill', source);
    assert.equal(drill.code, 0, JSON.stringify(drill.document));
  });
