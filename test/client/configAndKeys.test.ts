import assert from 'node:assert/strict';
import { cp, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { after, before, test } from 'node:test';
import { checkText } from '../../core/config/load.ts';
import { readProcess } from '../../core/process/childProcess.ts';
import { holdfast } from '../support/commandLine.ts';
import { temporaryDirectory } from '../support/directories.ts';

/** Made once: an RSA pair of 4096 bits takes seconds. */
let template: string;
before(async () => {
  template = await mkdtemp(join(tmpdir(), 'holdfast-test-'));
  const { code, stderr } = await holdfast(['init', '--directory', template]);
  assert.equal(code, 0, stderr);
});
after(() => rm(template, { recursive: true }));

/** A directory of the test's own as `holdfast init` leaves it. */
async function initialized(t: Parameters<typeof temporaryDirectory>[0]): Promise<string> {
  const directory = await temporaryDirectory(t);
  await cp(template, directory, { recursive: true });
  return directory;
}

function inDirectory(cwd: string, environment: Record<string, string> = {}) {
  return async (...args: string[]) => {
    const result = await holdfast(['--json', ...args], { cwd, environment });
    return { ...result, document: JSON.parse(result.stdout) as Record<string, unknown> };
  };
}

test('init writes a valid configuration and keys that work, all of mode 0600', async (t) => {
  const directory = await initialized(t);
  const run = inDirectory(directory, { HOLDFAST_CATALOG_URL: 'postgres://x', SHOP_DB_PASSWORD: 'x' });
  const files = ['holdfast.yaml', ...(await readdir(join(directory, 'keys'))).map((name) => join('keys', name))];
  assert.equal(files.length, 6);
  for (const { mode } of await Promise.all(files.map((file) => stat(join(directory, file))))) {
    assert.equal(mode & 0o777, 0o600);
  }
  const check = await run('config', 'check');
  assert.equal(check.code, 0);
  assert.deepEqual(check.document['errors'], []);
  assert.deepEqual(check.document['warnings'], []);
  const list = await run('keys', 'list');
  assert.equal(list.code, 0);
  const keys = list.document['keys'] as { name: string; can: string[]; plans: string[]; id: string }[];
  assert.deepEqual(
    keys.map(({ name, can, plans }) => ({ name, can, plans })),
    [
      { name: 'ops', can: ['seal', 'open'], plans: ['shop-daily'] },
      { name: 'escrow', can: ['seal'], plans: ['shop-daily'] },
      { name: 'sign', can: ['sign', 'check'], plans: [] },
    ],
  );
});

test("every suggestion in init's file is valid once it is taken", async (t) => {
  const text = await readFile(join(await initialized(t), 'holdfast.yaml'), 'utf8');
  const taken = text.replaceAll(/^( +)# (\w+: \{.*\})$/gm, '$1$2');
  assert.equal(taken.split('\n').filter((line, index) => line !== text.split('\n')[index]).length, 5);
  assert.deepEqual(checkText(taken, '/').errors, []);
});

test('init overwrites nothing and leaves nothing behind', async (t) => {
  const directory = await temporaryDirectory(t);
  const path = join(directory, 'holdfast.yaml');
  await writeFile(path, 'mine');
  const { code, document } = await inDirectory(directory)('init');
  assert.equal(code, 4);
  assert.equal((document['error'] as { type: string }).type, 'RefusedForSafety');
  assert.equal(await readFile(path, 'utf8'), 'mine');
  assert.deepEqual(await readdir(directory), ['holdfast.yaml']);
});

test('init where nothing can be written says so', async (t) => {
  const directory = await temporaryDirectory(t);
  await writeFile(join(directory, 'file'), '');
  const { code, document } = await inDirectory(directory)('init', '--directory', 'file/below');
  assert.equal(code, 2);
  assert.match((document['error'] as { message: string }).message, /file\/below/);
});

test('config check lists every mistake with its line and exits 2', async (t) => {
  const directory = await initialized(t);
  const path = join(directory, 'holdfast.yaml');
  const text = await readFile(path, 'utf8');
  await writeFile(
    path,
    text.replace('encryptTo: [ops, escrow]', 'encrypto: [ops]').replace('{ env: SHOP_DB_PASSWORD }', 'hunter2'),
  );
  const { code, document, stderr, stdout } = await inDirectory(directory)('config', 'check');
  assert.equal(code, 2);
  assert.equal(document['valid'], false);
  const errors = document['errors'] as { path: string; line: number }[];
  assert.deepEqual(
    errors.map((error) => error.path).toSorted(),
    ['plans.shop-daily.encryptTo', 'plans.shop-daily.encrypto', 'sources.shop.database.password'].toSorted(),
  );
  const lines = text.split('\n');
  assert.ok(
    errors.every(
      ({ path: where, line }) => where.startsWith('plans') === (lines[line - 1]?.includes('shop-daily') ?? false),
    ),
  );
  assert.equal((document['error'] as { type: string }).type, 'InvalidConfiguration');
  const people = await holdfast(['config', 'check'], { cwd: directory });
  assert.equal(people.code, 2);
  assert.match(people.stdout, /did you mean encryptTo\?/);
  // [38]
  assert.doesNotMatch(stdout + stderr + people.stdout + people.stderr, /hunter2/);
});

test('config check warns of a key file that all can read', async (t) => {
  const directory = await initialized(t);
  await readProcess({
    command: 'chmod',
    args: ['0644', join(directory, 'keys/ops.key'), join(directory, 'keys/escrow.pub.pem')],
  });
  const { code, document } = await inDirectory(directory)('config', 'check');
  assert.equal(code, 0);
  const modes = (document['warnings'] as { path: string; message: string }[]).filter(({ message }) =>
    /mode 0644/.test(message),
  );
  assert.deepEqual(
    modes.map(({ path }) => path),
    ['keys.ops.key'],
  );
});

function results(document: Record<string, unknown>): Record<string, string> {
  const proofs = document['keys'] as { name: string; result: string }[];
  return Object.fromEntries(proofs.map(({ name, result }) => [name, result]));
}

test('keys prove seals and opens; the escrow key only with its private half', async (t) => {
  const directory = await initialized(t);
  const run = inDirectory(directory);
  const stick = join(directory, 'stick.pem');
  await rename(join(directory, 'keys/escrow.pem'), stick);

  const all = await run('keys', 'prove');
  assert.equal(all.code, 3);
  assert.deepEqual(results(all.document), { ops: 'proven', escrow: 'unproven', sign: 'proven' });
  const escrow = await run('keys', 'prove', 'escrow', '--private-key', stick);
  assert.equal(escrow.code, 0);
  assert.deepEqual(results(escrow.document), { escrow: 'proven' });
  const ops = await run('keys', 'prove', 'ops');
  assert.equal(ops.code, 0);
});

test('[23] keys prove finds a private half of another pair, a damaged key and a missing one', async (t) => {
  const directory = await initialized(t);
  const run = inDirectory(directory);
  const other = await run('keys', 'generate', 'other', '--type', 'rsa');
  assert.equal(other.code, 0);
  const wrong = await run('keys', 'prove', 'escrow', '--private-key', 'keys/other.pem');
  assert.equal(wrong.code, 1);
  await writeFile(join(directory, 'keys/ops.key'), 'hunter2\n');
  await rename(join(directory, 'keys/sign.pem'), join(directory, 'gone.pem'));
  const all = await run('keys', 'prove');
  assert.equal(all.code, 1);
  const proofs = all.document['keys'] as { name: string; result: string; detail: string }[];
  assert.equal(proofs.find(({ name }) => name === 'ops')?.result, 'failed');
  assert.match(proofs.find(({ name }) => name === 'sign')?.detail ?? '', /sign\.pem is missing/);
  assert.doesNotMatch(all.stdout + all.stderr, /hunter2/);
  const list = await run('keys', 'list');
  assert.equal(list.code, 3);
});

test('keys prove refuses an unknown name, and a private key without a name', async (t) => {
  const run = inDirectory(await initialized(t));
  const unknown = await run('keys', 'prove', 'escro');
  assert.equal(unknown.code, 2);
  assert.match((unknown.document['error'] as { message: string }).message, /did you mean escrow/);
  assert.equal((await run('keys', 'prove', '--private-key', 'keys/escrow.pem')).code, 2);
});

for (const type of ['aes-256', 'ed25519'] as const) {
  test(`keys generate writes a ${type} key of mode 0600 once`, async (t) => {
    const directory = await temporaryDirectory(t);
    const run = inDirectory(directory);
    const made = await run('keys', 'generate', 'mine', '--type', type);
    assert.equal(made.code, 0);
    const { secret } = made.document['files'] as { secret: string };
    assert.equal((await stat(secret)).mode & 0o777, 0o600);
    const text = await readFile(secret, 'utf8');
    assert.ok(!made.stdout.includes(text.trim()));
    assert.equal((await run('keys', 'generate', 'mine', '--type', type)).code, 4);
    assert.equal(await readFile(secret, 'utf8'), text);
  });
}

test('keys generate refuses a name that climbs out of the folder, and an unknown type', async (t) => {
  const directory = await temporaryDirectory(t);
  const run = inDirectory(directory);
  assert.equal((await run('keys', 'generate', '../mine')).code, 2);
  assert.equal((await run('keys', 'generate', 'mine', '--type', 'des')).code, 2);
  assert.deepEqual(await readdir(directory), []);
});
