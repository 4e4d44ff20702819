import { buffer } from 'node:stream/consumers';
import type { Readable } from 'node:stream';
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  type PutObjectCommandInput,
} from '@aws-sdk/client-s3';
import { compared, type LearnedProfile, type ProbeFinding } from './report.ts';
import { isNotImplemented, refusalOf, type S3Space } from './s3Space.ts';

/** What the service does with small objects. */

type Integrity = (body: Buffer) => Partial<PutObjectCommandInput>;

const FIRST = Buffer.from('the first body, a longer one');
const SECOND = Buffer.from('the second body');

/** Is what was written what is read and listed, at once, after an overwrite too; and parts of it by range. */
export async function probeReading(space: S3Space, integrity: Integrity): Promise<ProbeFinding[]> {
  await mustPut(space, 'overwritten', FIRST, integrity);
  const first = await read(space, 'overwritten');
  await mustPut(space, 'overwritten', SECOND, integrity);
  const second = await read(space, 'overwritten');
  const listed = await space.attempt('list', (options) =>
    space.s3.client.send(
      new ListObjectsV2Command({ Bucket: space.s3.bucket, Prefix: space.at('overwritten').Key }),
      options,
    ),
  );
  const size = listed.accepted ? listed.answer.Contents?.[0]?.Size : undefined;
  const fresh = first === FIRST.toString() && second === SECOND.toString() && size === SECOND.length;
  const part = await read(space, 'overwritten', 'bytes=4-9');
  return [
    compared(
      'consistency',
      fresh ? 'what was written is read at once' : 'stale or wrong after an overwrite',
      'what was written is read at once',
      fresh ? 'verification sees what is there' : 'do not keep backups here: a read-back would prove nothing',
    ),
    compared(
      'ranged read',
      part === SECOND.subarray(4, 10).toString() ? 'yes' : 'no',
      'yes',
      'an interrupted download goes on where it broke',
    ),
  ];
}

/** Is `If-None-Match: *` kept, ignored or refused. */
export async function probeConditionalPut(
  space: S3Space,
  integrity: Integrity,
): Promise<{ findings: ProbeFinding[]; learned: LearnedProfile }> {
  const put = (body: Buffer) => space.put('conditional', body, { ...integrity(body), IfNoneMatch: '*' });
  const first = await put(FIRST);
  let found = first.accepted ? 'ignored' : refusalOf(first);
  if (first.accepted) {
    const second = await put(SECOND);
    const kept = (await read(space, 'conditional')) === FIRST.toString();
    if (!second.accepted && kept) found = [409, 412].includes(second.status) ? 'kept' : refusalOf(second);
  }
  const learned = found === 'kept' ? 'yes' : 'no';
  const { conditionalPut } = space.s3.profile;
  const expected = { yes: 'kept', no: 'ignored', maybe: undefined }[conditionalPut];
  const finding = compared(
    'conditional put',
    found,
    // Where it is not to be used it does not matter in which way it does not work.
    conditionalPut === 'no' && learned === 'no' ? found : expected,
    learned === 'yes'
      ? 'a manifest is never overwritten, whoever else writes'
      : 'a manifest is looked up just before; two writers could race',
  );
  return { findings: [finding], learned: { conditionalPut: learned } };
}

/** Can the service copy by itself, so that a heal within the bucket moves no bytes over the network. */
export async function probeCopy(space: S3Space, integrity: Integrity): Promise<ProbeFinding[]> {
  await mustPut(space, 'original', FIRST, integrity);
  const { Bucket, Key } = space.at('original');
  const source = `${Bucket}/${Key.split('/').map(encodeURIComponent).join('/')}`;
  const copied = await space.attempt('copy', (options) =>
    space.s3.client.send(new CopyObjectCommand({ ...space.at('copy'), CopySource: source }), options),
  );
  const found = !copied.accepted ? refusalOf(copied) : (await read(space, 'copy')) === FIRST.toString() ? 'yes' : 'no';
  const meaning = found === 'yes' ? 'copies within the service need no network' : 'copies pass through the worker';
  return [compared('server-side copy', found, undefined, meaning)];
}

/** May this key delete; does a deletion free the room or only hide; and are many deleted at once. */
export async function probeDeletion(space: S3Space, integrity: Integrity): Promise<ProbeFinding[]> {
  await mustPut(space, 'deleted', FIRST, integrity);
  const deleted = await space.attempt('delete', (options) =>
    space.s3.client.send(new DeleteObjectCommand(space.at('deleted')), options),
  );
  if (!deleted.accepted) {
    const meaning = 'cleanup and sweeps cannot remove anything here; grant DeleteObject, or let a lifecycle rule do it';
    return [compared('deletion', refusalOf(deleted), 'deletes', meaning)];
  }
  const gone = !(
    await space.attempt('look up', (options) =>
      space.s3.client.send(new HeadObjectCommand(space.at('deleted')), options),
    )
  ).accepted;
  const found = !gone ? 'accepted, and the object is still there' : deleted.answer.DeleteMarker ? 'hides' : 'deletes';
  const meaning: Readonly<Record<string, string>> = {
    hides: 'old versions keep their bytes: set a lifecycle rule that removes them',
    deletes: 'what is deleted takes no room',
  };
  return [
    // Whether a bucket keeps versions is its owner's choice; only a deletion that does nothing is wrong.
    compared('deletion', found, gone ? found : 'deletes', meaning[found] ?? 'nothing can be removed here'),
    await bulkDeletion(space, integrity),
  ];
}

async function bulkDeletion(space: S3Space, integrity: Integrity): Promise<ProbeFinding> {
  await mustPut(space, 'bulk-1', FIRST, integrity);
  await mustPut(space, 'bulk-2', FIRST, integrity);
  const Objects = ['bulk-1', 'bulk-2'].map((name) => ({ Key: space.at(name).Key }));
  const tried = await space.attempt('delete', (options) =>
    space.s3.client.send(new DeleteObjectsCommand({ Bucket: space.s3.bucket, Delete: { Objects } }), options),
  );
  const errors = tried.accepted ? (tried.answer.Errors ?? []).length : 0;
  const found = tried.accepted
    ? errors === 0
      ? 'yes'
      : `refused for ${errors} of 2`
    : isNotImplemented(tried)
      ? 'no'
      : refusalOf(tried);
  return compared('bulk deletion', found, undefined, 'Holdfast deletes one object at a time');
}

async function mustPut(space: S3Space, name: string, body: Buffer, integrity: Integrity): Promise<void> {
  const put = await space.put(name, body, integrity(body));
  if (!put.accepted) throw put.error;
}

async function read(space: S3Space, name: string, range?: string): Promise<string | undefined> {
  const got = await space.attempt('read', async (options) => {
    const { Body } = await space.s3.client.send(
      new GetObjectCommand({ ...space.at(name), ...(range !== undefined && { Range: range }) }),
      options,
    );
    return buffer(Body as Readable);
  });
  return got.accepted ? got.answer.toString() : undefined;
}
