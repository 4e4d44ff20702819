import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { create } from 'tar';
import { downloadProgram } from '../../../core/tools/downloadProgram.ts';
import { findPostgresPrograms } from '../../../core/tools/postgresPrograms.ts';
import { findTemporalCli } from '../../../core/tools/temporalCli.ts';
import { bringVersitygw, findVersitygw } from '../../../core/tools/versitygw.ts';
import { isHoldfastError } from '../../../core/errors.ts';
import { temporaryDirectory, type Scope } from '../../support/directories.ts';

async function makeProgram(path: string): Promise<string> {
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, '#!/bin/sh\necho it runs\n');
  await chmod(path, 0o755);
  return path;
}

/** A server that answers every request with these bytes. Gives its address. */
async function serve(scope: Scope, status: number, body: Buffer): Promise<string> {
  const server = createServer((_request, response) => response.writeHead(status).end(body));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  scope.after(async () => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return `http://127.0.0.1:${address.port}/`;
}

for (const [program, find, variable] of [
  ['temporal', findTemporalCli, 'TEMPORAL_CLI_PATH'],
  ['versitygw', findVersitygw, 'VERSITYGW_PATH'],
] as const) {
  test(`${program} is taken from its variable, then PATH, then the cache`, async (t) => {
    const directory = await temporaryDirectory(t);
    const cache = join(directory, 'cache');
    const path = join(directory, 'bin');
    assert.equal(await find({ PATH: path, XDG_CACHE_HOME: cache }), undefined);
    const cached = await makeProgram(join(cache, 'holdfast', 'bin', program));
    assert.equal(await find({ PATH: path, XDG_CACHE_HOME: cache }), cached);
    const onPath = await makeProgram(join(path, program));
    assert.equal(await find({ PATH: `/nowhere:${path}`, XDG_CACHE_HOME: cache }), onPath);
    assert.equal(await find({ PATH: path, XDG_CACHE_HOME: cache, [variable]: '/some/where' }), '/some/where');
  });
}

test('a program that cannot be brought is ToolMissing and says what to install', async (t) => {
  const directory = await temporaryDirectory(t);
  await assert.rejects(
    bringVersitygw({ PATH: directory, XDG_CACHE_HOME: directory }, () => undefined),
    (error) => isHoldfastError(error, 'ToolMissing') && /Install Go .* VERSITYGW_PATH/.test(error.advice ?? ''),
  );
});

test("PostgreSQL's programs come with their server", async () => {
  const directory = await findPostgresPrograms(process.env);
  assert.ok(directory);
  await stat(join(directory, 'initdb'));
  await stat(join(directory, 'pg_dump'));
});

test('a download puts the one program into place, ready to run', async (t) => {
  const directory = await temporaryDirectory(t);
  await makeProgram(join(directory, 'archive', 'tool'));
  await writeFile(join(directory, 'archive', 'LICENSE'), 'text');
  await create({ gzip: true, file: join(directory, 'tool.tgz'), cwd: join(directory, 'archive') }, ['tool', 'LICENSE']);
  await mkdir(join(directory, 'bin'));
  const address = await serve(t, 200, await readFile(join(directory, 'tool.tgz')));
  await downloadProgram(address, 'tool', join(directory, 'bin', 'tool'));
  assert.deepEqual(await readdir(join(directory, 'bin')), ['tool']);
  assert.equal((await stat(join(directory, 'bin', 'tool'))).mode & 0o777, 0o755);
});

for (const [what, status, cut] of [
  ['refused', 404, 0],
  ['cut short', 200, 100],
  ['without the program', 200, undefined],
] as const) {
  test(`a download that is ${what} leaves nothing behind`, async (t) => {
    const directory = await temporaryDirectory(t);
    await makeProgram(join(directory, 'archive', 'other'));
    await create({ gzip: true, file: join(directory, 'tool.tgz'), cwd: join(directory, 'archive') }, ['other']);
    const archive = await readFile(join(directory, 'tool.tgz'));
    await mkdir(join(directory, 'bin'));
    const address = await serve(t, status, archive.subarray(0, cut === undefined ? undefined : archive.length - cut));
    await assert.rejects(downloadProgram(address, 'tool', join(directory, 'bin', 'tool')));
    assert.deepEqual(await readdir(join(directory, 'bin')), []);
  });
}
