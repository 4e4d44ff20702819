import assert from 'node:assert/strict';
import { chmod, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { openLocalBackend } from '../../../core/storage/local.ts';
import { shell } from '../../core/files/trees.ts';
import { archiveDirectory, storeBackup, type PlainPart } from '../../core/repository/storedBackup.ts';
import { noMounts } from '../../support/smallDisk.ts';
import { temporaryDirectory } from '../../support/directories.ts';
import { s3Settings } from '../../support/s3Settings.ts';
import { createBucket } from '../../support/servers.ts';
import { run, serverUrl, storedShop } from './recovering.ts';

/** What `recover restore` says to who gave it the wrong thing. */

test('a hint for a password or an access key names where it was looked for', async (context) => {
  const { home, storage, target, manifest } = await storedShop(context);
  const to = [manifest.id, ...storage, '--database-url', serverUrl(), '--target', target.name];
  const bucket = ['--s3-bucket', 'none', '--key', join(home, 'ops.key'), '--into', `media=${join(home, 'new')}`];
  const { endpoint = '', region = '' } = s3Settings(await createBucket(context));
  const file = join(home, 'password-file');
  await writeFile(file, '*:*:*:*:wrong\n', { mode: 0o644 });
  await chmod(file, 0o644);
  const other = join(home, 'password-other');
  await writeFile(other, '*:1:*:nobody:wrong\n', { mode: 0o600 });
  const hint = async (args: readonly string[], environment: Record<string, string>, message: RegExp) => {
    const ended = await run(home, args, environment);
    assert.equal(ended.code, 1, ended.stderr);
    assert.match(ended.stderr, message);
    assert.doesNotMatch(ended.stderr, /SASL|of the backend|configuration refers/);
  };
  await hint(to, { PGPASSWORD: 'wrong' }, /hint: Check the password in PGPASSWORD/);
  await hint([...to, '--password-file', other], {}, /hint: Check the password in \S+password-other \(--password-file/);
  await hint(to, { PGPASSFILE: join(home, 'no') }, /none was given[^]*hint: Give it .*\/no cannot be read/);
  await hint(to, { PGPASSFILE: file }, /none was given[^]*hint: Give it .* mode 0644, which has to be 0600/);
  await hint(to, { PGPASSFILE: other }, /none was given[^]*hint: Give it .* has no line for /);
  await hint(
    [manifest.id, ...bucket, '--s3-endpoint', endpoint, '--s3-region', region],
    { AWS_ACCESS_KEY_ID: 'nobody', AWS_SECRET_ACCESS_KEY: 'wrong' },
    /hint: Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY/,
  );
});

test('[23] a key of the wrong kind is refused with the kind that is wanted', async (context) => {
  const { home, copies, manifest } = await storedShop(context);
  const publicHalf = join(home, 'sign.pub.pem');
  const into = ['--local', copies, '--into', `media=${join(home, 'new')}`];
  for (const [keys, wanted] of [
    [['--key', join(home, 'sign.pem')], /hint: --key wants the raw AES key, or the RSA private key/],
    [['--key', publicHalf], /hint: --key wants/],
    [
      ['--key', join(home, 'ops.key'), '--verify-key', join(home, 'ops.key')],
      /hint: --verify-key wants the public half/,
    ],
  ] as const) {
    const { code, stderr } = await run(home, [manifest.id, ...into, ...keys]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, wanted);
    assert.doesNotMatch(stderr, /keys generate/);
  }
});

test('a file system without inodes is told once, with what to do', { skip: noMounts }, async (context) => {
  const { home, keys, copies, storage } = await storedShop(context);
  const tree = await temporaryDirectory(context);
  shell(tree, 'for i in $(seq 60); do echo $i > $i; done');
  const backend = openLocalBackend('storage', { type: 'local', path: copies });
  const parts: PlainPart[] = [{ part: 'media', format: 'tar', ...(await archiveDirectory(tree)) }];
  const { id } = await storeBackup([backend], keys, parts, { id: '20261122T020000Z-7f3k9q' });
  const small = join(home, 'small');
  shell(home, `mkdir small; mount -t tmpfs -o nr_inodes=30 tmpfs small`);
  try {
    const { code, stderr } = await run(home, [id, ...storage, '--into', `media=${join(small, 'new')}`]);
    assert.equal(code, 1, stderr);
    assert.equal(stderr.match(/No space left/g)?.length, 1, stderr);
    assert.match(stderr, /hint: Make room there.*inodes/);
    assert.deepEqual(await readdir(small), []);
  } finally {
    shell(home, 'umount -l small');
  }
});
