import { createHash, type Hash } from 'node:crypto';
import { mkdir, open, readdir, rm, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { codeOf } from '../errors.ts';
import { SEGMENTS_PER_OBJECT } from '../repository/layout.ts';
import { formatEntry, JOURNAL_FILE, segmentFile, type JournalEntry } from './journal.ts';
import { openRoom, type Receivers, type SpoolRoom } from './room.ts';
import { listAttempts, spoolFailure, type Spool } from './spool.ts';

/** One try at reading a source into the spool. */
export interface AttemptWriter {
  readonly directory: string;
  /** Begins a part. `objectName(0)` names its first object, `objectName(1)` the next, should it grow that large. */
  openPart(objectName: (index: number) => string): PartWriter;
  /** Says that every object is there. */
  end(): Promise<void>;
  /** Lets go of the journal; what is in the spool stays. Call it in any case. */
  close(): Promise<void>;
  /** Empties the attempt. The directory stays, so that no later attempt gets its number and is taken for it. */
  discard(): Promise<void>;
}

export interface PartWriter {
  /** Takes the next ciphertext bytes; resolves when they are in the spool. Call it once at a time. */
  write(chunk: Buffer): Promise<void>;
  /** Declares the part whole. Only from here on can its last object be completed by an upload. */
  finish(): Promise<WrittenPart>;
  /** Lets go of the file at hand after a failure. */
  close(): Promise<void>;
}

export interface WrittenPart {
  readonly bytes: number;
  readonly sha256: string;
  readonly objects: readonly { readonly name: string; readonly bytes: number; readonly sha256: string }[];
}

export interface AttemptOptions {
  /** S3 allows 10,000 parts an object; tests use less. */
  readonly segmentsPerObject?: number;
  /** Who is sent the attempt while it is written. Unset: nobody, so that reaching the spool's limit ends it. */
  readonly receivers?: Receivers;
}

const NOBODY: Receivers = {
  backends: [],
  required: 0,
  openParts: 0,
  patience: 0,
  signal: new AbortController().signal,
};

/** Begins a new attempt in a directory of its own. Rejects with `SpoolFailed`. */
export async function beginAttempt(spool: Spool, backup: string, options: AttemptOptions = {}): Promise<AttemptWriter> {
  const directory = await createAttemptDirectory(spool, backup);
  const journal = await guarded(directory, () => open(path.join(directory, JOURNAL_FILE), 'ax', 0o600));
  const append = (entry: JournalEntry) => guarded(directory, () => journal.appendFile(formatEntry(entry)));
  const room = await openRoom(spool, backup, directory, options.receivers ?? NOBODY);
  return {
    directory,
    openPart: (objectName) =>
      partWriter({ ...options, directory, segmentSize: spool.segmentSize, objectName, append, room }),
    async end() {
      await append({ type: 'end' });
    },
    close: () => journal.close(),
    discard: () => emptyAttempt(directory),
  };
}

interface PartWriterOptions extends AttemptOptions {
  readonly directory: string;
  readonly segmentSize: number;
  readonly objectName: (index: number) => string;
  readonly append: (entry: JournalEntry) => Promise<void>;
  readonly room: SpoolRoom;
}

interface OpenSegment {
  readonly file: FileHandle;
  readonly sha256: Hash;
  bytes: number;
}

function partWriter(options: PartWriterOptions): PartWriter {
  const { directory, segmentSize, append } = options;
  const segmentsPerObject = options.segmentsPerObject ?? SEGMENTS_PER_OBJECT;
  const objects: { name: string; bytes: number; sha256: string }[] = [];
  const partHash = createHash('sha256');
  // Most parts are one object, whose hash is the part's: the second hash runs from the second object on.
  let objectHash: Hash | undefined;
  let objectBytes = 0;
  let partBytes = 0;
  let segments = 0;
  let current: OpenSegment | undefined;

  const openSegment = async (): Promise<OpenSegment> => {
    if (segments === segmentsPerObject) {
      await closeObject();
      objectHash = createHash('sha256');
    }
    segments += 1;
    const file = path.join(directory, segmentFile(options.objectName(objects.length), segments));
    return {
      file: await guarded(directory, () => open(file, 'wx', 0o600)),
      sha256: createHash('sha256'),
      bytes: 0,
    };
  };

  const closeSegment = async (segment: OpenSegment): Promise<void> => {
    current = undefined;
    await guarded(directory, () => segment.file.close());
    const written = { object: options.objectName(objects.length), number: segments, bytes: segment.bytes };
    await append({ type: 'segment', ...written, sha256: segment.sha256.digest('hex') });
    options.room.add(written);
  };

  const closeObject = async (): Promise<void> => {
    const name = options.objectName(objects.length);
    const sha256 = (objectHash ?? partHash.copy()).digest('hex');
    await append({ type: 'object', object: name, bytes: objectBytes, sha256, segments });
    objects.push({ name, bytes: objectBytes, sha256 });
    objectBytes = 0;
    segments = 0;
  };

  const writeWithin = async (piece: Buffer): Promise<void> => {
    await options.room.take(piece.length);
    const segment = (current ??= await openSegment());
    await guarded(directory, () => writeFully(segment.file, piece));
    segment.sha256.update(piece);
    partHash.update(piece);
    objectHash?.update(piece);
    segment.bytes += piece.length;
    objectBytes += piece.length;
    partBytes += piece.length;
    if (segment.bytes === segmentSize) await closeSegment(segment);
  };

  return {
    async write(chunk) {
      for (let offset = 0; offset < chunk.length;) {
        const room = segmentSize - (current?.bytes ?? 0);
        await writeWithin(chunk.subarray(offset, offset + room));
        offset += room;
      }
    },
    async finish() {
      if (current === undefined && segments === 0) current = await openSegment();
      if (current !== undefined) await closeSegment(current);
      await closeObject();
      return { bytes: partBytes, sha256: partHash.digest('hex'), objects };
    },
    async close() {
      await current?.file.close();
      current = undefined;
    },
  };
}

async function createAttemptDirectory(spool: Spool, backup: string): Promise<string> {
  const parent = path.join(spool.path, backup);
  await guarded(spool.path, () => makeUnlessThere(parent));
  for (;;) {
    const earlier = await listAttempts(spool, backup);
    const next = Number(earlier.at(-1)?.slice('attempt-'.length) ?? 0) + 1;
    const directory = path.join(parent, `attempt-${String(next).padStart(4, '0')}`);
    try {
      await mkdir(directory, { mode: 0o700 });
      // Their readers move on to the new one by themselves.
      for (const attempt of earlier) await emptyAttempt(path.join(parent, attempt));
      return directory;
    } catch (error) {
      // Two workers began at the same instant: the later takes the next number.
      if (codeOf(error) !== 'EEXIST') throw spoolFailure(error, spool.path);
    }
  }
}

/** Node's recursive mkdir says that nothing is there (ENOENT) where the filesystem is read-only. */
async function makeUnlessThere(directory: string): Promise<void> {
  try {
    await mkdir(directory, { mode: 0o700 });
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}

async function emptyAttempt(directory: string): Promise<void> {
  await guarded(directory, async () => {
    // First of all: by its absence a reader knows why a segment is not there.
    await rm(path.join(directory, JOURNAL_FILE), { force: true });
    // An upload that has not noticed yet may still write a note into a folder that is being removed.
    for (const entry of await readdir(directory))
      await rm(path.join(directory, entry), { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  });
}

async function writeFully(file: FileHandle, piece: Buffer): Promise<void> {
  for (let offset = 0; offset < piece.length;) {
    const { bytesWritten } = await file.write(piece, offset, piece.length - offset);
    offset += bytesWritten;
  }
}

async function guarded<Result>(where: string, step: () => Promise<Result>): Promise<Result> {
  try {
    return await step();
  } catch (error) {
    throw spoolFailure(error, where);
  }
}
