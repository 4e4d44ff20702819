import { access, mkdir, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { codeOf, HoldfastError, messageOf } from '../core/errors.ts';
import { generateAesKey, generateRsaKey, generateSigningKey } from '../core/seal/keyFiles.ts';
import { moveAway } from './generateKey.ts';
import { STARTING_FILE } from './startingFile.ts';

export interface Initialized {
  readonly configuration: string;
  /** Everything that was written, absolute. */
  readonly files: readonly string[];
  /** Ids of the keys by name. */
  readonly keys: Readonly<Record<'ops' | 'escrow' | 'sign', string>>;
  readonly nextSteps: readonly string[];
}

/**
 * Writes holdfast.yaml and the keys it names into a directory. All or nothing: rejects with RefusedForSafety, and
 * changes nothing, when one of the files is there already; a failure on the way removes what was written.
 */
export async function initialize(directory: string): Promise<Initialized> {
  const root = resolve(directory);
  const inKeys = (name: string) => join(root, 'keys', name);
  const configuration = join(root, 'holdfast.yaml');
  const ops = inKeys('ops.key');
  const escrow = { secret: inKeys('escrow.pem'), public: inKeys('escrow.pub.pem') };
  const sign = { secret: inKeys('sign.pem'), public: inKeys('sign.pub.pem') };
  const files = [configuration, ops, escrow.secret, escrow.public, sign.secret, sign.public];
  await refuseExisting(files);
  try {
    await mkdir(join(root, 'keys'), { recursive: true, mode: 0o700 });
    const keys = {
      ops: (await generateAesKey(ops)).id,
      escrow: (await generateRsaKey(escrow)).id,
      sign: (await generateSigningKey(sign)).id,
    };
    // Last, because a configuration is what makes the rest count.
    await writeFile(configuration, STARTING_FILE, { flag: 'wx', mode: 0o600 });
    return { configuration, files, keys, nextSteps: nextSteps(configuration, escrow.secret) };
  } catch (error) {
    // None was there a moment ago. One that somebody else made in between is the reason for the failure, and stays.
    if (codeOf(error) !== 'EEXIST' && !isAlreadyThere(error))
      await Promise.all(files.map((file) => rm(file, { force: true })));
    throw error instanceof HoldfastError ? error : notWritten(root, error);
  }
}

function isAlreadyThere(error: unknown): boolean {
  return error instanceof HoldfastError && codeOf(error.cause) === 'EEXIST';
}

async function refuseExisting(files: readonly string[]): Promise<void> {
  const there = await Promise.all(files.map(exists));
  const existing = files.filter((_, index) => there[index]);
  if (existing.length === 0) return;
  throw new HoldfastError('RefusedForSafety', `nothing was written: ${existing.join(', ')} already there`, {
    advice:
      'Choose another folder with --directory, or move these files away; a key may still be needed to open backups.',
  });
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    if (codeOf(error) === 'ENOTDIR') throw notWritten(path, error);
    throw error;
  }
}

function notWritten(path: string, cause: unknown): HoldfastError {
  return new HoldfastError('InvalidInput', `${path} cannot be written: ${messageOf(cause)}`, {
    advice: 'Choose a folder that this user may write to, with --directory.',
    cause,
  });
}

function nextSteps(configuration: string, escrowPrivate: string): string[] {
  return [
    moveAway('escrow', escrowPrivate),
    `Fill in ${configuration}: the catalog, your database, your storages.`,
    'Check it: holdfast config check',
  ];
}
