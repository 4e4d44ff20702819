import { constants } from 'node:fs';
import { link, lstat, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf, HoldfastError } from '../errors.ts';
import type { BeginUploadOptions, PendingUpload, SegmentHashes, Upload, UploadedSegment } from './backend.ts';
import { attempt, makeFolders, openFile, syncDirectory, writeAll, type LocalPlace } from './localFiles.ts';
import {
  createStaging,
  ignoreMissing,
  isUploadId,
  listStagings,
  readSegments,
  readStaging,
  recordSegment,
  removeStaging,
  sha256Of,
  stagingPath,
} from './localStaging.ts';

const { O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_WRONLY } = constants;
/** The disk starts writing every so many bytes, so that little is left for the fsync at the end. */
const WRITE_BACK_BYTES = 32 * 2 ** 20;
/** How often a folder may vanish under a rename, removed by a delete next to it. */
const RENAME_ATTEMPTS = 5;
/** Milliseconds after which an upload without a key will never have one. */
const STILLBORN_AGE = 10_000;

export async function beginLocalUpload(place: LocalPlace, key: string, options: BeginUploadOptions): Promise<Upload> {
  const known = await resumeUpload(place, key, options);
  const id = known?.id ?? (await createStaging(place, key));
  return uploadOf(place, key, id, options.segmentSize, known?.segments ?? new Map());
}

/** Stores a whole object atomically and durably. */
export async function storeWhole(
  place: LocalPlace,
  key: string,
  body: Buffer,
  options: { ifAbsent: boolean; hashes?: SegmentHashes | undefined; signal?: AbortSignal | undefined },
): Promise<'stored' | 'exists'> {
  const id = await createStaging(place, key);
  try {
    const data = join(stagingPath(place, id), 'data');
    const handle = await openFile(data, O_WRONLY | O_CREAT | O_EXCL);
    try {
      await Promise.all([writeAll(handle, body, 0), options.hashes && checkHash(place, key, body, options.hashes)]);
      await handle.sync();
    } finally {
      await handle.close();
    }
    options.signal?.throwIfAborted();
    return await moveIntoPlace(place, data, key, options.ifAbsent);
  } finally {
    await removeStaging(place, id);
  }
}

export async function listLocalUploads(place: LocalPlace, prefix: string): Promise<PendingUpload[]> {
  const uploads: PendingUpload[] = [];
  for (const id of await listStagings(place)) {
    const upload = await readStaging(place, id);
    if (upload?.key.startsWith(prefix) || isStillborn(upload)) uploads.push(upload);
  }
  return uploads.toSorted((left, right) => left.begunAt.getTime() - right.begunAt.getTime());
}

/**
 * Killed before it could note its key: it belongs to nobody, so whoever tidies up under any prefix takes it away. One
 * that is only slow to be born would begin anew.
 */
function isStillborn(upload: PendingUpload | undefined): upload is PendingUpload {
  return upload?.key === '' && Date.now() - upload.begunAt.getTime() > STILLBORN_AGE;
}

export async function abortLocalUpload(place: LocalPlace, locator: string): Promise<void> {
  if (isUploadId(locator)) await removeStaging(place, locator);
}

function uploadOf(
  place: LocalPlace,
  key: string,
  id: string,
  segmentSize: number,
  segments: Map<number, UploadedSegment>,
): Upload {
  const staging = stagingPath(place, id);
  const data = join(staging, 'data');
  const writeBack = earlyWriteBack(data);
  return {
    key,
    locator: id,
    putSegment: (number, body, hashes, signal) =>
      attempt(place, `store segment ${number} of ${key}`, signal, async () => {
        if (body.length > segmentSize) throw segmentTooLarge(place, key, number, body.length, segmentSize);
        await Promise.all([
          writeAt(place, key, data, body, (number - 1) * segmentSize),
          checkHash(place, key, body, hashes),
        ]);
        const segment = { number, bytes: body.length, sha256: hashes.sha256 };
        await recordSegment(join(staging, 'segments'), segment);
        segments.set(number, segment);
        writeBack.wrote(body.length);
      }),
    listSegments: async (signal) => {
      signal?.throwIfAborted();
      return [...segments.values()].toSorted((left, right) => left.number - right.number);
    },
    complete: (expected, signal) =>
      attempt(place, `complete ${key}`, signal, async () => {
        refuseIncomplete(place, key, segments, segmentSize, expected);
        await writeBack.settle();
        await finishData(place, key, data, expected.bytes);
        await moveIntoPlace(place, data, key, false);
        await removeStaging(place, id);
      }),
    abort: (signal) =>
      attempt(place, `abort the upload of ${key}`, signal, async () => {
        await writeBack.settle().catch(() => undefined);
        await removeStaging(place, id);
      }),
  };
}

async function resumeUpload(place: LocalPlace, key: string, options: BeginUploadOptions) {
  const id = options.resume;
  if (id === undefined || !isUploadId(id)) return undefined;
  const upload = await readStaging(place, id);
  if (upload?.key !== key) return undefined;
  return { id, segments: await readSegments(stagingPath(place, id), options) };
}

async function writeAt(place: LocalPlace, key: string, data: string, body: Buffer, position: number): Promise<void> {
  const handle = await openFile(data, O_RDWR | O_CREAT).catch((error: unknown) => {
    throw codeOf(error) === 'ENOENT' ? uploadGone(place, key) : error;
  });
  try {
    await writeAll(handle, body, position);
  } finally {
    await handle.close();
  }
}

async function finishData(place: LocalPlace, key: string, data: string, bytes: number): Promise<void> {
  const handle = await openFile(data, O_RDWR | (bytes === 0 ? O_CREAT : 0)).catch((error: unknown) => {
    throw codeOf(error) === 'ENOENT' ? uploadGone(place, key) : error;
  });
  try {
    // A last segment that was sent again shorter leaves bytes behind it.
    if ((await handle.stat()).size !== bytes) await handle.truncate(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function moveIntoPlace(
  place: LocalPlace,
  data: string,
  key: string,
  ifAbsent: boolean,
): Promise<'stored' | 'exists'> {
  for (let tries = 1; ; tries += 1) {
    const target = await makeFolders(place, key);
    try {
      const outcome = ifAbsent
        ? await linkIfAbsent(data, target)
        : await rename(data, target).then(() => 'stored' as const);
      if (outcome === 'stored') await syncDirectory(dirname(target));
      return outcome;
    } catch (error) {
      const folderVanished = codeOf(error) === 'ENOENT' && (await lstat(data).catch(ignoreMissing)) !== undefined;
      if (codeOf(error) === 'ENOENT' && !folderVanished) throw uploadGone(place, key);
      if (!folderVanished || tries >= RENAME_ATTEMPTS) throw error;
    }
  }
}

/** link(2) fails when the name is taken, which rename(2) does not: the one atomic way to create and never replace. */
async function linkIfAbsent(data: string, target: string): Promise<'stored' | 'exists'> {
  try {
    await link(data, target);
    return 'stored';
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return 'exists';
    // Filesystems without hard links: looked up just before, as on a bucket without conditional writes.
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(codeOf(error) ?? '')) throw error;
    if (await lstat(target).catch(ignoreMissing)) return 'exists';
    await rename(data, target);
    return 'stored';
  }
}

function refuseIncomplete(
  place: LocalPlace,
  key: string,
  segments: ReadonlyMap<number, UploadedSegment>,
  segmentSize: number,
  expected: { segments: number; bytes: number },
): void {
  const listed = [...segments.values()];
  const bytes = listed.reduce((sum, segment) => sum + segment.bytes, 0);
  const holes = listed.some((segment) => segment.number < expected.segments && segment.bytes !== segmentSize);
  const beyond = listed.some((segment) => segment.number < 1 || segment.number > expected.segments);
  if (listed.length === expected.segments && bytes === expected.bytes && !holes && !beyond) return;
  throw new HoldfastError(
    'BackendRefused',
    `backend ${place.backend}: ${key} is not complete: expected ${expected.bytes} bytes in ${expected.segments} segments, ` +
      `there are ${bytes} in ${listed.length}`,
    { advice: 'Send the missing segments again, then complete.' },
  );
}

function earlyWriteBack(path: string) {
  let unwritten = 0;
  let running: Promise<void> | undefined;
  let failure: { readonly error: unknown } | undefined;
  return {
    wrote(bytes: number): void {
      unwritten += bytes;
      if (running || unwritten < WRITE_BACK_BYTES) return;
      unwritten = 0;
      running = syncData(path)
        // The kernel reports a failed write-back once: it must not be lost before `settle`.
        .catch((error: unknown) => {
          failure = { error };
        })
        .finally(() => {
          running = undefined;
        });
    },
    async settle(): Promise<void> {
      await running;
      if (failure) throw failure.error;
    },
  };
}

async function syncData(path: string): Promise<void> {
  const handle = await openFile(path, O_RDONLY);
  try {
    await handle.datasync();
  } finally {
    await handle.close();
  }
}

async function checkHash(place: LocalPlace, key: string, body: Buffer, hashes: SegmentHashes): Promise<void> {
  if (sha256Of(body) === hashes.sha256) return;
  throw new HoldfastError('ObjectDamaged', `backend ${place.backend}: bytes for ${key} do not have the SHA-256 given`, {
    advice: 'Memory or the spool changed them on the way; test the memory and the disk if it happens again.',
    retryable: true,
  });
}

function segmentTooLarge(place: LocalPlace, key: string, number: number, bytes: number, segmentSize: number) {
  return new HoldfastError(
    'InvalidInput',
    `backend ${place.backend}: segment ${number} of ${key} has ${bytes} bytes, more than the ${segmentSize} agreed on`,
  );
}

function uploadGone(place: LocalPlace, key: string): HoldfastError {
  return new HoldfastError(
    'BackendUnreachable',
    `backend ${place.backend}: the upload of ${key} is gone: somebody aborted it or completed it`,
    { advice: 'It begins anew on the next attempt.' },
  );
}
