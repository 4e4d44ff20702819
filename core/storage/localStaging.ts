import { constants } from 'node:fs';
import { lstat, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createHash, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { codeOf } from '../errors.ts';
import type { BeginUploadOptions, PendingUpload, UploadedSegment } from './backend.ts';
import { makeFolders, openFile, OWN_FOLDER, removeEmptyFolders, type LocalPlace } from './localFiles.ts';

/**
 * Uploads of the local backend. Each has a folder of its own, `.holdfast/uploads/<id>`:
 *
 *   upload.json   the key it is for and when it was begun
 *   data          the object so far, each segment at its offset
 *   segments      one line per finished segment: number, bytes, SHA-256
 *
 * Everything another process needs to go on lies there. Whole objects take the same way, so that a crash in the middle
 * of one is found and swept like any other unfinished upload.
 */

const { O_APPEND, O_CREAT, O_EXCL, O_RDONLY, O_WRONLY } = constants;
const UPLOAD_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const uploadFacts = z.object({ key: z.string(), begunAt: z.coerce.date() });

/** Locators come from outside: only what is one of ours becomes part of a path. */
export function isUploadId(locator: string): boolean {
  return UPLOAD_ID.test(locator);
}

/** Somebody else's upload that ends takes empty folders away, perhaps the one just made. */
const FOLDER_ATTEMPTS = 5;

export async function createStaging(place: LocalPlace, key: string): Promise<string> {
  const id = randomUUID();
  for (let tries = 1; ; tries += 1) {
    try {
      await makeFolders(place, `${OWN_FOLDER}/uploads/${id}/upload.json`);
      await noteFacts(join(stagingPath(place, id), 'upload.json'), key);
      return id;
    } catch (error) {
      if (codeOf(error) === 'ENOENT' && tries < FOLDER_ATTEMPTS) continue;
      // A full disk takes the folder and an empty file, and then no byte. The first failure is the reason.
      await removeStaging(place, id).catch(() => undefined);
      throw error;
    }
  }
}

async function noteFacts(path: string, key: string): Promise<void> {
  const handle = await openFile(path, O_WRONLY | O_CREAT | O_EXCL);
  try {
    await writeFile(handle, JSON.stringify({ key, begunAt: new Date() }));
  } finally {
    await handle.close();
  }
}

/** An upload by its id; one that died before it could note its key is listed without one, so that it is swept too. */
export async function readStaging(place: LocalPlace, id: string): Promise<PendingUpload | undefined> {
  if (!isUploadId(id)) return undefined;
  const staging = stagingPath(place, id);
  const found = await lstat(staging).catch(ignoreMissing);
  if (!found?.isDirectory()) return undefined;
  const text = await readFile(join(staging, 'upload.json'), 'utf8').catch(ignoreMissing);
  const facts = uploadFacts.safeParse(parseJson(text ?? ''));
  return facts.success
    ? { key: facts.data.key, locator: id, begunAt: facts.data.begunAt }
    : { key: '', locator: id, begunAt: found.mtime };
}

export async function removeStaging(place: LocalPlace, id: string): Promise<void> {
  await rm(stagingPath(place, id), { recursive: true, force: true });
  await removeEmptyFolders(place, `${OWN_FOLDER}/uploads/${id}`);
}

/** Names of all folders of uploads. */
export async function listStagings(place: LocalPlace): Promise<string[]> {
  return (await readdir(join(place.root, OWN_FOLDER, 'uploads')).catch(ignoreMissing)) ?? [];
}

export async function recordSegment(path: string, segment: UploadedSegment): Promise<void> {
  const handle = await openFile(path, O_WRONLY | O_CREAT | O_APPEND);
  try {
    await handle.appendFile(`${segment.number} ${segment.bytes} ${segment.sha256}\n`);
  } finally {
    await handle.close();
  }
}

/**
 * The finished segments, each read again and hashed: after a power failure the list can be ahead of the data, and a
 * list that is believed would keep a hole in the object through every retry.
 */
export async function readSegments(
  staging: string,
  options: BeginUploadOptions,
): Promise<Map<number, UploadedSegment>> {
  const segments = new Map<number, UploadedSegment>();
  const lines = await readFile(join(staging, 'segments'), 'utf8').catch(ignoreMissing);
  const handle = await openFile(join(staging, 'data'), O_RDONLY).catch(ignoreMissing);
  if (lines === undefined || handle === undefined) return segments;
  try {
    for (const line of lines.split('\n')) {
      options.signal?.throwIfAborted();
      const [, number, bytes, sha256] = /^(\d+) (\d+) ([0-9a-f]{64})$/.exec(line) ?? [];
      if (number === undefined || bytes === undefined || sha256 === undefined) continue;
      if (Number(bytes) > options.segmentSize) continue;
      const body = Buffer.alloc(Number(bytes));
      await handle.read(body, 0, body.length, (Number(number) - 1) * options.segmentSize);
      if (sha256Of(body) !== sha256) continue;
      segments.set(Number(number), { number: Number(number), bytes: body.length, sha256 });
    }
  } finally {
    await handle.close();
  }
  return segments;
}

export function stagingPath(place: LocalPlace, id: string): string {
  return join(place.root, OWN_FOLDER, 'uploads', id);
}

/** On this thread: webcrypto hashes a copy of its own, and copies of segments keep the garbage collector busy. */
export function sha256Of(body: Buffer): string {
  return createHash('sha256').update(body).digest('hex');
}

export function ignoreMissing(error: unknown): undefined {
  if (codeOf(error) !== 'ENOENT') throw error;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
