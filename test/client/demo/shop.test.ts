import assert from 'node:assert/strict';
import { access, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { differences, readContents } from '../../../client/demo/databaseContents.ts';
import { makeLayout } from '../../../client/demo/layout.ts';
import { proveDump } from '../../../client/demo/proof.ts';
import { BACKUP_ROLE, makeShopDatabase, SHOP_DATABASE, withClient } from '../../../client/demo/shopDatabase.ts';
import { makeShopFiles } from '../../../client/demo/shopFiles.ts';
import { isHoldfastError } from '../../../core/errors.ts';
import { readProcess } from '../../../core/process/childProcess.ts';
import { startPostgres } from '../../../core/tools/postgresServer.ts';
import { temporaryDirectory, type Scope } from '../../support/directories.ts';
import { testPostgres } from '../../support/servers.ts';

const BACKUP_PASSWORD = 'the backup role';

/** A server of its own: the shop's roles and database names are the cluster's. */
async function shopServer(scope: Scope) {
  const directory = await temporaryDirectory(scope, { reachable: true });
  const password = 'superuser';
  const { binDirectory } = testPostgres();
  const server = await startPostgres({ directory: join(directory, 'pg'), binDirectory, password, durable: false });
  scope.after(() => server.close());
  const login = { host: server.host, port: server.port, user: server.user, password };
  return { ...login, binDirectory, directory };
}

async function dumpShop(server: Awaited<ReturnType<typeof shopServer>>): Promise<string> {
  const passwordFile = join(server.directory, 'pgpass');
  const dump = join(server.directory, 'shop.dump');
  await writeFile(passwordFile, `*:*:*:*:${BACKUP_PASSWORD}\n`, { mode: 0o600 });
  await readProcess({
    command: join(server.binDirectory, 'pg_dump'),
    args: [
      '-Fc',
      `--file=${dump}`,
      `--host=${server.host}`,
      `--port=${server.port}`,
      `--username=${BACKUP_ROLE}`,
      SHOP_DATABASE,
    ],
    environment: { PGPASSFILE: passwordFile },
  });
  return dump;
}

test('the shop: its backup role reads all of it, and the proof finds one changed row', async (t) => {
  const server = await shopServer(t);
  const { directory, binDirectory, ...login } = server;
  await makeShopDatabase(login, BACKUP_PASSWORD);
  const again = await makeShopDatabase(login, BACKUP_PASSWORD);
  assert.deepEqual(again.missingExtensions, []);

  const contents = await withClient(login, SHOP_DATABASE, readContents);
  assert.equal(contents['shop.customer']?.rows, 4000);
  assert.equal(contents['large objects']?.rows, 8);
  assert.ok((contents['shop.revenue']?.rows ?? 0) > 12);

  const layout = await makeLayout(join(directory, 'demo'));
  const dump = await dumpShop(server);
  const signal = new AbortController().signal;
  const proof = await proveDump(dump, layout, { ...login, binDirectory }, signal);
  assert.equal(proof.relations, Object.keys(contents).length);

  await withClient(login, SHOP_DATABASE, (shop) => shop.query('update shop.tenant set name = $1 where id = 7', ['x']));
  await assert.rejects(
    proveDump(dump, layout, { ...login, binDirectory }, signal),
    (error) => isHoldfastError(error, 'ObjectDamaged') && error.message.includes('shop.tenant'),
  );
});

test('contents differ by a row, by a value and by a missing table', () => {
  const base = { a: { rows: 1, fingerprint: '1' }, b: { rows: 2, fingerprint: '2' } };
  assert.deepEqual(differences(base, base), []);
  assert.deepEqual(differences(base, { ...base, a: { rows: 2, fingerprint: '1' } }), ['a']);
  assert.deepEqual(differences(base, { ...base, b: { rows: 2, fingerprint: '3' } }), ['b']);
  assert.deepEqual(differences(base, { a: base.a }), ['b']);
});

test('the shop has a hard link, a symlink and a secret of mode 0600, and is made once', async (t) => {
  const layout = await makeLayout(await temporaryDirectory(t, { reachable: true }));
  await makeShopFiles(layout);
  await makeShopFiles(layout);
  assert.equal((await stat(join(layout.media, 'title.png'))).nlink, 2);
  assert.ok((await readdir(layout.media, { withFileTypes: true })).some((entry) => entry.isSymbolicLink()));
  assert.equal((await stat(join(layout.config, '.env'))).mode & 0o777, 0o600);
  assert.match(await readFile(join(layout.config, '.env'), 'utf8'), /^SECRET_KEY=/);
});

test('where another account cannot pass, PostgreSQL has its files elsewhere, at the same place every time', async (t) => {
  const root = await temporaryDirectory(t);
  const { postgres } = await makeLayout(root);
  t.after(async () => {
    if (!postgres.startsWith(root)) await rm(postgres, { recursive: true });
  });
  assert.equal(postgres.startsWith(root), process.getuid?.() !== 0);
  assert.equal((await makeLayout(root)).postgres, postgres);
  await access(postgres);
});
