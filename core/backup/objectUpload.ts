import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { codeOf } from '../errors.ts';
import type { AttemptReader } from '../spool/attemptReader.ts';
import { makeNotesFolder, notesFolder, type DeliveryNotes } from '../spool/deliveries.ts';
import type { ObjectEntry, SegmentEntry } from '../spool/journal.ts';
import type { Spool } from '../spool/spool.ts';
import type { Backend, Upload } from '../storage/backend.ts';

/*
 * Uploads in segments that outlive their worker: a note in the attempt's directory says which upload of a backend belongs
 * to which object, and the backend itself what it has of it.
 */

export interface ObjectUpload {
  /** Whether the backend has exactly this segment already. */
  has(entry: SegmentEntry): boolean;
  putSegment: Upload['putSegment'];
  complete(entry: ObjectEntry): Promise<void>;
  abort(): Promise<void>;
}

export interface ObjectUploadContext {
  readonly backend: Backend;
  readonly spool: Spool;
  readonly attempt: AttemptReader;
  readonly notes: DeliveryNotes;
  readonly signal: AbortSignal;
}

/** Goes on with the upload that an earlier try began, where the backend still knows it; what it lists is what it has. */
export async function openObjectUpload(
  key: string,
  object: string,
  { backend, spool, attempt, notes, signal }: ObjectUploadContext,
): Promise<ObjectUpload> {
  const notePath = path.join(notesFolder(attempt.directory, backend.name), `${object}${NOTE_ENDING}`);
  const locator = await readNote(notePath);
  const upload = await backend.beginUpload(key, {
    segmentSize: spool.segmentSize,
    signal,
    ...(locator !== undefined && { resume: locator }),
  });
  const present = new Map<number, { bytes: number; sha256?: string | undefined }>();
  if (upload.locator === locator) {
    for (const segment of await upload.listSegments(signal)) present.set(segment.number, segment);
  } else {
    await notes.restart(object);
    await makeNotesFolder(attempt.directory, backend.name);
    await writeFile(notePath, upload.locator, { mode: 0o600 });
  }
  return {
    has(entry) {
      const segment = present.get(entry.number);
      return segment?.bytes === entry.bytes && (segment.sha256 === undefined || segment.sha256 === entry.sha256);
    },
    putSegment: (...parameters) => upload.putSegment(...parameters),
    async complete(entry) {
      await upload.complete({ segments: entry.segments, bytes: entry.bytes }, signal);
      await rm(notePath, { force: true });
    },
    abort: () => upload.abort(),
  };
}

/**
 * Takes back what uploads of this copy are still under way but do not belong to this attempt: a worker that was killed
 * left them, and the attempt they belonged to is gone.
 */
export async function abortStrays(
  attempt: AttemptReader,
  { backend, prefix, signal }: { readonly backend: Backend; readonly prefix: string; readonly signal: AbortSignal },
): Promise<void> {
  const known = await knownLocators(notesFolder(attempt.directory, backend.name));
  for await (const upload of backend.listUploads(prefix, signal)) {
    if (!known.has(upload.locator)) await backend.abortUpload(upload, signal);
  }
}

const NOTE_ENDING = '.locator';

async function knownLocators(folder: string): Promise<Set<string>> {
  try {
    const notes = (await readdir(folder)).filter((name) => name.endsWith(NOTE_ENDING));
    return new Set(await Promise.all(notes.map((note) => readFile(path.join(folder, note), 'utf8'))));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return new Set();
    throw error;
  }
}

async function readNote(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
