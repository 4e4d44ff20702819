import assert from 'node:assert/strict';
import { link, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { freePort } from '../../core/tools/freePort.ts';
import { runSql } from '../core/postgres/support.ts';
import type { RunningWorker } from '../support/application.ts';
import { fileScope } from '../support/fileScope.ts';
import { testTemporal, type TestDatabase } from '../support/servers.ts';
import { readRunbook } from '../support/runbook.ts';
import { createGround, type Ground } from '../support/runbookGround.ts';

/** docs/recovery-runbook.md, followed page by page by an operator who copies its commands, after what each page is for. */

const scope = fileScope();
let ground: Ground;
let worker: RunningWorker;

before(async () => {
  ground = await createGround(scope);
  worker = await ground.app.startWorker();
  // An archive holds its contents under this name: it comes first.
  await link(photo(), join(ground.app.trees.media, 'photos', 'a-name-before.jpg'));
  const { code, document } = await ground.app.backup('shop');
  assert.equal(code, 0, JSON.stringify(document));
  ground.settings['BEFORE'] = new Date().toISOString();
});

async function countOf(table: string, database: TestDatabase = ground.database('shop')): Promise<unknown> {
  const [row] = await runSql(database, `select count(*)::int as count from ${table}`);
  return row?.['count'];
}

async function databases(): Promise<string[]> {
  const rows = await runSql(
    ground.database('postgres'),
    'select datname from pg_database where not datistemplate order by 1',
  );
  return rows.map(({ datname }) => String(datname));
}

function photo(): string {
  return join(ground.app.trees.media, 'photos', 'photo.jpg');
}

const followed = new Set<string>();
async function follow(title: string): Promise<string> {
  followed.add(title);
  return ground.follow(title);
}

test('Database corruption', async () => {
  await runSql(ground.database('shop'), 'delete from orders where id > 10');
  const output = await follow('Database corruption');
  assert.equal(await countOf('orders'), 1000);
  const [kept] = (await databases()).filter((name) => name.startsWith('shop_before_'));
  assert.equal(await countOf('orders', ground.database(kept ?? '')), 10);
  assert.match(output, /^ +10$/m);
  assert.match(output, /^ +1000$/m);
});

test('Letting go', async () => {
  await follow('Letting go');
  assert.deepEqual(await databases(), ['postgres', 'shop']);
});

test('Going back', async () => {
  await runSql(ground.database('shop'), `update orders set what = 'of today' where id = 1`);
  await ground.follow('Database corruption');
  assert.equal(await countOf(`orders where what = 'of today'`), 0);
  await follow('Going back');
  assert.equal(await countOf(`orders where what = 'of today'`), 1);
  for (const name of await databases())
    if (name !== 'shop' && name !== 'postgres') await runSql(ground.database('postgres'), `drop database "${name}"`);
});

test('One table', async () => {
  await runSql(
    ground.database('shop'),
    `delete from orders where id % 2 = 0; update orders set what = 'of today' where id = 1`,
  );
  await follow('One table');
  assert.equal(await countOf('orders'), 1000);
  assert.equal(await countOf(`orders where what = 'of today'`), 1);
  assert.deepEqual(await databases(), ['postgres', 'shop']);
});

test('One file', async () => {
  await writeFile(photo(), 'spoilt');
  const { code, document } = await ground.app.backup('shop');
  assert.equal(code, 0, JSON.stringify(document));
  await follow('One file');
  assert.equal(await readFile(photo(), 'utf8'), 'a photo');
  assert.equal((await stat(photo())).mode & 0o777, 0o640);
  assert.equal(await readFile(join(ground.desk, 'rescued', 'photos', 'photo.jpg'), 'utf8'), 'a photo');
});

test('All files', async () => {
  await writeFile(photo(), 'spoilt');
  const kept = (await follow('All files')).trim().split('\n').at(-1) ?? '';
  assert.equal(await readFile(photo(), 'utf8'), 'a photo');
  assert.equal(await readFile(join(kept, 'photos', 'photo.jpg'), 'utf8'), 'spoilt');
  await follow('Going back to the files of before');
  assert.equal(await readFile(photo(), 'utf8'), 'spoilt');
  await writeFile(photo(), 'a photo');
});

test('[25] Temporal lost', async () => {
  await worker.close();
  ground.app.settings.temporal.address = `127.0.0.1:${await freePort()}`;
  await ground.app.save();
  const output = await follow('Temporal lost');
  assert.match(output, /full, manual\): verified/);
  ground.app.settings.temporal.address = testTemporal().address;
  await ground.app.save();
});

test('Moved to a new environment', async () => {
  const port = await ground.anotherServer();
  const here = ground.settings['PGPORT'] ?? '';
  ground.settings['PGPORT'] = String(port);
  await follow('Moved to a new environment');
  ground.settings['PGPORT'] = here;
  const there = (database: TestDatabase) => ({ ...database, port });
  assert.equal(await countOf('orders', there(ground.asShop('shop'))), 1000);
  assert.equal(await countOf('orders', there(ground.database('shop_copy'))), 1000);
  assert.deepEqual(
    await runSql(
      there(ground.database('shop_copy')),
      `select distinct pg_get_userbyid(relowner)::text as owner from pg_class where relname in ('orders', 'customers')`,
    ),
    [{ owner: 'postgres' }],
  );
});

test('[25] Complete loss', async () => {
  const { app } = ground;
  await ground.loseServer();
  await rm(app.trees.media, { recursive: true });
  await rm(app.spool, { recursive: true });
  await runSql(app.catalogDatabase, 'drop schema holdfast cascade');
  const output = await follow('Complete loss');
  assert.equal(await countOf('orders', ground.asShop('shop')), 1000);
  await runSql(ground.asShop('shop'), `insert into customers (name) values ('new'); alter table customers add at date`);
  assert.equal(await readFile(photo(), 'utf8'), 'a photo');
  assert.match(output, /^SHOP_SECRET_KEY$/m);
  assert.match(output, /full, manual\): verified/);
});

test('[23] Keys lost', async () => {
  for (const name of ['ops.key', 'sign.pem']) await rm(join(ground.app.home, 'secrets', name));
  await follow('Keys lost');
  assert.deepEqual(await databases(), ['postgres', 'shop']);
});

test('New keys', async () => {
  await follow('New keys');
  const { keys, plans } = ground.app.settings;
  const made = join(ground.desk, 'new-keys');
  delete keys['ops'];
  Object.assign(keys, {
    'ops-2': { type: 'aes-256', key: { file: join(made, 'ops-2.key') } },
    'sign-2': { type: 'ed25519', privateKey: { file: join(made, 'sign-2.pem') } },
    sign: { type: 'ed25519', publicKey: { file: join(ground.settings['KEYS'] ?? '', 'sign.pub.pem') } },
  });
  Object.assign(plans?.['shop'] ?? {}, { encryptTo: ['ops-2', 'escrow'] });
  await ground.app.save();
  worker = await ground.app.startWorker();
  const output = await follow('The first backup with new keys');
  assert.match(output, /full, manual\): verified/);
});

test('The database server is lost', async () => {
  await ground.loseServer();
  const output = await follow('The database server is lost');
  assert.doesNotMatch(output, /object\+Object/);
  assert.equal(await countOf('orders', ground.asShop('shop')), 1000);
  await runSql(
    ground.asShop('shop'),
    `insert into customers (name) values ('new'); alter table orders add column note text`,
  );
});

test('every page with commands was followed, and every setting has a value', async () => {
  const { pages, settings } = await readRunbook();
  assert.deepEqual(settings.toSorted(), Object.keys(ground.settings).toSorted());
  assert.deepEqual([...followed].toSorted(), pages.map(({ title }) => title).toSorted());
});
