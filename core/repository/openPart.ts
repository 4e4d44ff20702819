import { Readable } from 'node:stream';
import { HoldfastError, isHoldfastError } from '../errors.ts';
import { listArchive } from '../files/listArchive.ts';
import type { OpeningKey } from '../seal/keys.ts';
import { unseal } from '../seal/unseal.ts';
import { drain } from './asyncItems.ts';
import type { Manifest, ManifestPart } from './manifest.ts';
import { checkJson } from './partSchemas.ts';
import { restoreToText } from './restoreToText.ts';

export interface OpenPartOptions {
  readonly openingKeys: readonly OpeningKey[];
  /** Path of a pg_restore at least as new as the pg_dump that wrote the part. */
  readonly pgRestore: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Decrypts, decompresses and reads a part to its end in its own format, and holds every count against the manifest.
 * Throws ObjectDamaged or DumpFailed when it is not what was backed up; KeyMissing, ToolMissing.
 */
export async function openPart(
  manifest: Manifest,
  part: ManifestPart,
  ciphertext: AsyncIterable<Buffer>,
  options: OpenPartOptions,
): Promise<void> {
  const plaintext = readPlaintext(manifest, part, ciphertext, options);
  try {
    await READERS[part.format](part, plaintext, options);
    // A reader may know the end of its format before the stream ends; the counts are compared there.
    await drain(plaintext);
  } finally {
    await plaintext.return();
  }
}

/**
 * The part's bytes as they were read at the source. Ends well only when the counts of compressed and original bytes are
 * those of the manifest. Throws ObjectDamaged, KeyMissing, and whatever `ciphertext` throws.
 */
export async function* readPlaintext(
  manifest: Manifest,
  part: ManifestPart,
  ciphertext: AsyncIterable<Buffer>,
  options: { readonly openingKeys: readonly OpeningKey[]; readonly signal?: AbortSignal | undefined },
): AsyncGenerator<Buffer, void> {
  const opened = unseal(ciphertext, {
    compression: part.compression.type,
    keys: options.openingKeys,
    context: { backup: manifest.id, part: part.part, source: manifest.source },
    originalBytes: part.originalBytes,
    signal: options.signal,
  });
  for await (const chunk of opened.plaintext) yield chunk;
  const { compressedBytes } = opened.totals();
  if (compressedBytes !== part.compressedBytes) {
    throw new HoldfastError(
      'ObjectDamaged',
      `part ${part.part} decrypts to ${compressedBytes} bytes, the manifest says ${part.compressedBytes}`,
      { advice: 'Use a copy on another backend.' },
    );
  }
}

type PartReader = (
  part: ManifestPart,
  plaintext: AsyncGenerator<Buffer, void>,
  options: OpenPartOptions,
) => Promise<void>;

const READERS: Readonly<Record<ManifestPart['format'], PartReader>> = {
  'pg_dump-custom': readDump,
  sql: readSql,
  tar: readTar,
  json: readJson,
};

/** `pg_restore --list` would stop after the table of contents, and pass on an archive that was cut behind it. */
async function readDump(part: ManifestPart, plaintext: AsyncGenerator<Buffer, void>, options: OpenPartOptions) {
  const { pgRestore, signal } = options;
  if (pgRestore === undefined)
    throw new HoldfastError('ToolMissing', `part ${part.part} needs pg_restore to be opened`);
  try {
    await drain(restoreToText(plaintext, { pgRestore, signal, output: 'discard' }));
  } catch (error) {
    throw isHoldfastError(error, 'DumpFailed') ? dumpUnreadable(part, error) : error;
  }
}

function dumpUnreadable(part: ManifestPart, cause: HoldfastError): HoldfastError {
  if (/unsupported version/.test(cause.message)) {
    return new HoldfastError('ToolMissing', `part ${part.part} was dumped by a newer pg_dump: ${cause.message}`, {
      advice: "Install the PostgreSQL client of the manifest's clientVersion or newer.",
      cause,
    });
  }
  return new HoldfastError('DumpFailed', `part ${part.part} cannot be read: ${cause.message}`, {
    advice: 'The dump itself is not whole. Make a new backup; no copy of this one can be better.',
    cause,
  });
}

/** The line that pg_dump and pg_dumpall write last; other statements of ours may follow it. */
const SQL_END = /-- PostgreSQL database (cluster )?dump complete\n/;
const SQL_END_BYTES = 64;

async function readSql(part: ManifestPart, plaintext: AsyncGenerator<Buffer, void>) {
  let complete = false;
  let before = Buffer.alloc(0);
  for await (const chunk of plaintext) {
    const text = Buffer.concat([before, chunk]);
    complete ||= SQL_END.test(text.toString('latin1'));
    before = text.subarray(-SQL_END_BYTES);
  }
  if (!complete) throw unusable(part, 'it holds no complete SQL dump');
}

async function readTar(part: ManifestPart, plaintext: AsyncGenerator<Buffer, void>) {
  const found = await listArchive(Readable.from(plaintext, { objectMode: false }));
  const { tree } = part;
  if (!tree) throw unusable(part, 'the manifest does not say what the archive holds');
  for (const field of ['files', 'directories', 'links', 'bytes'] as const) {
    if (found[field] !== tree[field]) {
      throw unusable(part, `its archive holds ${found[field]} ${field}, the manifest says ${tree[field]}`);
    }
  }
}

async function readJson(part: ManifestPart, plaintext: AsyncGenerator<Buffer, void>) {
  const chunks: Buffer[] = [];
  for await (const chunk of plaintext) chunks.push(chunk);
  const reason = checkJson(part.part, Buffer.concat(chunks).toString('utf8'));
  if (reason !== undefined) throw unusable(part, reason);
}

function unusable(part: ManifestPart, reason: string): HoldfastError {
  return new HoldfastError('DumpFailed', `part ${part.part} is not usable: ${reason}`, {
    advice: 'Make a new backup; every copy of this one was written from the same bytes.',
  });
}
