import { randomBytes } from 'node:crypto';
import { link, lstat, open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { codeOf, HoldfastError, isHoldfastError, messageOf } from '../errors.ts';
import { extractArchive, type ExtractedArchive } from '../files/extractArchive.ts';
import { removeTree } from '../files/removeTree.ts';
import type { TarProgram } from '../files/tarProgram.ts';
import type { OpeningKey } from '../seal/keys.ts';
import type { Backend } from '../storage/backend.ts';
import type { ExtractForm } from './extractForm.ts';
import type { Manifest, ManifestPart } from './manifest.ts';
import { readPart } from './readPart.ts';
import { restoreToText } from './restoreToText.ts';

/** One part of one copy, and what it takes to open it. */
export interface PartCopy {
  readonly backend: Backend;
  readonly manifest: Manifest;
  readonly part: ManifestPart;
  readonly openingKeys: readonly OpeningKey[];
  /** Path of pg_restore; asked for only to make SQL of a dump. */
  readonly pgRestore: () => Promise<string>;
  readonly signal?: AbortSignal | undefined;
  /** Told how many of the part's original bytes have been read and verified. */
  readonly onProgress?: (bytes: number) => void;
}

/**
 * The bytes of a part in a form, verified while they stream: what is read is good only when the stream ended well.
 * Throws what `readPart` and `restoreToText` throw.
 */
export async function* partBytes(copy: PartCopy, form: Exclude<ExtractForm, 'files'>): AsyncGenerator<Buffer, void> {
  const { part, signal } = copy;
  const plaintext = readWithProgress(copy);
  if (form === 'sql' && part.format === 'pg_dump-custom') {
    yield* restoreToText(plaintext, {
      pgRestore: await copy.pgRestore(),
      output: 'sql',
      signal,
    });
  } else {
    yield* plaintext;
  }
}

async function* readWithProgress(copy: PartCopy): AsyncGenerator<Buffer, void> {
  const { backend, manifest, part, openingKeys, signal, onProgress } = copy;
  let bytes = 0;
  for await (const chunk of readPart(backend, manifest, part, openingKeys, signal) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    onProgress?.(bytes);
    yield chunk;
  }
}

/**
 * Writes bytes to a new file, mode 0600: all of them under its name, or nothing. Gives their number. Throws
 * RefusedForSafety when something stands there, InvalidInput when it cannot be written, and what `bytes` throws.
 */
export async function writeNewFile(bytes: AsyncIterable<Buffer>, path: string): Promise<number> {
  await refuseExisting(path);
  const partial = partialName(path);
  try {
    const written = await writeDurably(bytes, partial, path);
    // Unlike rename, a link never replaces what somebody put there meanwhile.
    await link(partial, path).catch((cause: unknown) => {
      throw codeOf(cause) === 'EEXIST' ? existing(path) : unwritable(path, cause);
    });
    return written;
  } finally {
    await unlink(partial).catch((error: unknown) => {
      if (codeOf(error) !== 'ENOENT') throw unwritable(path, error);
    });
  }
}

/**
 * Unpacks a part that is a file tree into a new directory: all of it under its name, or nothing. Throws
 * RefusedForSafety when something stands there, and what `readPart` and `extractArchive` throw.
 */
export async function writeNewTree(
  copy: PartCopy,
  path: string,
  tar: TarProgram | undefined,
): Promise<ExtractedArchive> {
  await refuseExisting(path);
  const partial = partialName(path);
  const { signal } = copy;
  try {
    const archive = Readable.from(readWithProgress(copy), { objectMode: false });
    const extracted = await extractArchive(archive, partial, { tar, expected: copy.part.tree, signal });
    await refuseExisting(path);
    await rename(partial, path).catch((cause: unknown) => {
      throw unwritable(path, cause);
    });
    return extracted;
  } finally {
    await removeTree(partial);
  }
}

function partialName(path: string): string {
  return `${path.replace(/\/+$/, '')}.${randomBytes(4).toString('hex')}.partial`;
}

async function writeDurably(bytes: AsyncIterable<Buffer>, partial: string, path: string): Promise<number> {
  const file = await open(partial, 'wx', 0o600).catch((cause: unknown) => {
    throw unwritable(path, cause);
  });
  let written = 0;
  try {
    for await (const chunk of bytes) {
      await file.writeFile(chunk);
      written += chunk.length;
    }
    await file.sync();
  } catch (error) {
    // System errors here are the disk's; whatever is wrong with the copy comes as a HoldfastError.
    throw isHoldfastError(error) || codeOf(error) === undefined ? error : unwritable(path, error);
  } finally {
    await file.close();
  }
  return written;
}

async function refuseExisting(path: string): Promise<void> {
  try {
    await lstat(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw unwritable(path, error);
  }
  throw existing(path);
}

function existing(path: string): HoldfastError {
  return new HoldfastError('RefusedForSafety', `${path} exists already`, {
    advice: 'Nothing is overwritten: name a path that does not exist yet.',
  });
}

function unwritable(path: string, cause: unknown): HoldfastError {
  return new HoldfastError('InvalidInput', `${path} cannot be written: ${messageOf(cause)}`, {
    advice: `Check that ${dirname(path)} exists, has room and may be written to by this user.`,
    cause,
  });
}
