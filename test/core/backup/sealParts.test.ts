import assert from 'node:assert/strict';
import { createSecretKey, randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import test, { type TestContext } from 'node:test';
import type { PartSource, PartStream } from '../../../core/backup/part.ts';
import { sealParts } from '../../../core/backup/sealParts.ts';
import { HoldfastError } from '../../../core/errors.ts';
import { startProcess } from '../../../core/process/childProcess.ts';
import { beginAttempt, type AttemptWriter } from '../../../core/spool/attemptWriter.ts';
import { openSpool } from '../../../core/spool/spool.ts';
import { temporaryDirectory } from '../../support/directories.ts';

async function attemptFor(t: TestContext): Promise<AttemptWriter> {
  const directory = await temporaryDirectory(t);
  const spool = await openSpool({ path: path.join(directory, 'spool'), limit: 2 ** 30, segmentSize: 2 ** 20 });
  const attempt = await beginAttempt(spool, '20261120T020000Z-abc123');
  t.after(() => attempt.close());
  return attempt;
}

function partOf(part: string, open: (signal: AbortSignal) => PartStream): PartSource {
  return { part, format: 'sql', lane: 'dump', open };
}

const whole = (part: string, text: string) =>
  partOf(part, () => ({ plaintext: Readable.from([Buffer.from(text)]), finished: Promise.resolve({}) }));

function sealAll(attempt: AttemptWriter, parts: readonly PartSource[], signal: AbortSignal) {
  return sealParts({
    backup: '20261120T020000Z-abc123',
    source: 'shop',
    parts,
    jobs: 2,
    attempt,
    compression: { type: 'zstd', level: 1 },
    recipients: [{ type: 'aes-256', id: 'aes256-0000000000000000', secret: createSecretKey(randomBytes(32)) }],
    signal,
    onProgress: () => undefined,
  });
}

async function journalOf(attempt: AttemptWriter): Promise<string> {
  return readFile(path.join(attempt.directory, 'journal.jsonl'), 'utf8');
}

test('sizes, hashes and names of every part are what is in the spool', async (t) => {
  const attempt = await attemptFor(t);
  const parts = await sealAll(attempt, [whole('globals', 'create role a;'), whole('empty', '')], t.signal);
  assert.deepEqual(
    parts.map(({ part, originalBytes }) => [part, originalBytes]),
    [
      ['globals', 14],
      ['empty', 0],
    ],
  );
  for (const { objects, storedBytes, sha256 } of parts) {
    assert.equal(objects.length, 1);
    assert.deepEqual([objects[0]?.bytes, objects[0]?.sha256], [storedBytes, sha256]);
  }
  assert.deepEqual(
    parts.map(({ objects }) => objects[0]?.name),
    ['globals.sql.zst.enc', 'empty.sql.zst.enc'],
  );
});

test('[2] a stream that ended well but whose process did not is no part: its object is never declared whole', async (t) => {
  const attempt = await attemptFor(t);
  const dying = partOf('database', (signal) => {
    const { stdout, finished } = startProcess({ command: 'sh', args: ['-c', 'echo rows; exit 1'], signal });
    return { plaintext: stdout.pipe(new PassThrough()), finished: finished.then(() => ({})) };
  });
  await assert.rejects(
    sealAll(attempt, [dying], t.signal),
    (error) => error instanceof HoldfastError && /exit code 1/.test(error.message),
  );
  assert.doesNotMatch(await journalOf(attempt), /"type":"object"/);
});

test('the first failure ends the other parts, and is the one that is told', async (t) => {
  const attempt = await attemptFor(t);
  let stopped = false;
  const endless = partOf('endless', (signal) => {
    const plaintext = new PassThrough();
    const timer = setInterval(() => plaintext.write(randomBytes(1000)), 5);
    const finished = new Promise<never>((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        stopped = true;
        clearInterval(timer);
        plaintext.destroy();
        reject(signal.reason);
      });
    });
    finished.catch(() => undefined);
    return { plaintext, finished };
  });
  const failing = partOf('failing', () => ({
    plaintext: Readable.from([Buffer.from('a')]),
    finished: Promise.reject(new HoldfastError('DumpFailed', 'pg_dump failed with exit code 1: relation vanished')),
  }));
  await assert.rejects(sealAll(attempt, [endless, failing], t.signal), /relation vanished/);
  assert.ok(stopped);
});

test('[12] when the spool fails, the process that feeds it is ended and the spool is to blame', async (t) => {
  const attempt = await attemptFor(t);
  const full: AttemptWriter = {
    ...attempt,
    openPart: (name) => ({
      ...attempt.openPart(name),
      write: () => Promise.reject(new HoldfastError('SpoolFailed', 'the disk is full')),
    }),
  };
  let pid: number | undefined;
  const flood = partOf('database', (signal) => {
    const running = startProcess({ command: 'cat', args: ['/dev/urandom'], signal });
    pid = running.pid;
    return { plaintext: running.stdout, finished: running.finished.then(() => ({})) };
  });
  await assert.rejects(sealAll(full, [flood], t.signal), /the disk is full/);
  assert.ok(pid !== undefined && !(await readdir('/proc')).includes(String(pid)));
});
