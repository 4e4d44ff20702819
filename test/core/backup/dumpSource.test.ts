import assert from 'node:assert/strict';
import { createSecretKey, randomBytes } from 'node:crypto';
import { appendFile, mkdir, readFile, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { dumpSource, type DumpSourceOptions } from '../../../core/backup/dumpSource.ts';
import { configurationSchema } from '../../../core/config/schema.ts';
import { listAttempts, openSpool, type Spool } from '../../../core/spool/spool.ts';
import { temporaryDirectory } from '../../support/directories.ts';

const BACKUP = '20261120T020000Z-abc123';

async function dumpOf(t: TestContext): Promise<{ options: DumpSourceOptions; spool: Spool; tree: string }> {
  const directory = await temporaryDirectory(t);
  const tree = path.join(directory, 'tree');
  await mkdir(tree);
  await writeFile(path.join(tree, 'settings'), 'first');
  const { sources, plans } = configurationSchema.parse({
    catalog: { url: { env: 'CATALOG' } },
    keys: { ops: { type: 'aes-256', key: { env: 'OPS' } } },
    backends: { near: { type: 'local', path: '/near' } },
    sources: { shop: { files: { config: { path: tree } } } },
    plans: { daily: { source: 'shop', backends: ['near'], encryptTo: ['ops'] } },
  });
  const { shop: source } = sources;
  const { daily: plan } = plans;
  assert.ok(source && plan);
  const spool = await openSpool({ path: path.join(directory, 'spool'), limit: 2 ** 30, segmentSize: 2 ** 20 });
  const assignment = {
    source: 'shop',
    plan: 'daily',
    kind: 'full',
    tier: 'daily',
    backends: ['near'],
    requiredCopies: 1,
    canOpen: true,
    spoolQueue: 'spool',
    host: 'here',
    takeoverAfter: 300_000,
    warnings: [],
    acceptShrink: false,
    environment: [],
  } as const;
  const recipients = [
    { type: 'aes-256', id: 'aes256-0000000000000000', secret: createSecretKey(randomBytes(32)) },
  ] as const;
  const options = { id: BACKUP, assignment, source, plan, access: undefined, recipients, spool };
  return { options: { ...options, signal: t.signal, onProgress: () => undefined }, spool, tree };
}

test('[34] a dump that is asked for again after its end answers as before and reads nothing twice', async (t) => {
  const { options, spool, tree } = await dumpOf(t);
  const first = await dumpSource(options);
  await writeFile(path.join(tree, 'settings'), 'changed since');
  assert.deepEqual(await dumpSource(options), first);
  assert.deepEqual(await listAttempts(spool, BACKUP), ['attempt-0001']);
  assert.equal(first.attempt, 'attempt-0001');
});

test('[33] a dump that died before its end is read anew, in an attempt of its own', async (t) => {
  const { options, spool } = await dumpOf(t);
  const first = await dumpSource(options);
  const journal = path.join(spool.path, BACKUP, 'attempt-0001', 'journal.jsonl');
  const whole = await readFile(journal, 'utf8');
  // As it is when the worker was killed while it wrote the last line.
  await truncate(journal, whole.length - 3);
  const second = await dumpSource(options);
  assert.equal(second.attempt, 'attempt-0002');
  assert.notEqual(second.parts[0]?.sha256, first.parts[0]?.sha256);
  await appendFile(path.join(spool.path, BACKUP, 'attempt-0002', 'journal.jsonl'), '{"type":"seg');
  assert.equal((await dumpSource(options)).attempt, 'attempt-0003');
});
