import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { codeOf } from '../errors.ts';
import { manifestSchema } from '../repository/manifest.ts';
import { JOURNAL_FILE, parseEntry } from '../spool/journal.ts';
import { listAttempts, spoolFailure, type Spool } from '../spool/spool.ts';
import type { SealedBackup } from './run.ts';

/*
 * What a dump came to, kept beside its ciphertext. A worker or a connection that is lost between the dump's last byte and the
 * news of it must not cost a second dump; and those who send the first one must not be left with bytes that nobody vouches for.
 */

const RESULT_FILE = 'sealed.json';

const sealedBackup = z.object({
  attempt: z.string(),
  sealedAt: manifestSchema.shape.sealedAt,
  database: manifestSchema.shape.database,
  parts: manifestSchema.shape.parts,
  warnings: manifestSchema.shape.warnings,
});

/** Keeps the result in the attempt's directory. Call it before the attempt is declared at its end. */
export async function saveSealed(directory: string, sealed: SealedBackup): Promise<void> {
  try {
    await writeFile(path.join(directory, RESULT_FILE), JSON.stringify(sealed), { mode: 0o600 });
  } catch (error) {
    throw spoolFailure(error, directory);
  }
}

/** The result of the newest attempt at a backup, if that attempt reached its end. */
export async function findSealed(spool: Spool, backup: string): Promise<SealedBackup | undefined> {
  const newest = (await listAttempts(spool, backup)).at(-1);
  if (newest === undefined) return undefined;
  const directory = path.join(spool.path, backup, newest);
  const journal = await readIfThere(path.join(directory, JOURNAL_FILE));
  const lastLine = journal?.trimEnd().split('\n').at(-1);
  if (!lastLine || !journal?.endsWith('\n') || parseEntry(lastLine).type !== 'end') return undefined;
  const result = await readIfThere(path.join(directory, RESULT_FILE));
  if (result === undefined) return undefined;
  const { database, ...sealed } = sealedBackup.parse(JSON.parse(result));
  return { ...sealed, ...(database && { database }) };
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw spoolFailure(error, file);
  }
}
