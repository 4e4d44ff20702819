import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { HoldfastError, messageOf } from '../../core/errors.ts';
import {
  loadAesKey,
  loadCheckingKey,
  loadRsaPrivateKey,
  type CheckingKey,
  type OpeningKey,
} from '../../core/seal/keys.ts';
import type { Terminal } from '../terminal.ts';

export interface KeyOptions {
  readonly key?: readonly string[];
  readonly verifyKey?: readonly string[];
}

export function addCheckingKeyOption(command: Command): Command {
  return command.option(
    '--verify-key <file>',
    'public half of a signing key, PEM; can be given several times; without it signatures are not checked',
    several,
  );
}

export function addKeyOption(command: Command): Command {
  return command.option(
    '--key <file>',
    'key that opens it: a raw AES key file or an RSA private key in PEM; can be given several times',
    several,
  );
}

function several(file: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), file];
}

/** The keys that check signatures; undefined, with a loud warning, when none is given. */
export async function recoverCheckingKeys(options: KeyOptions, terminal: Terminal): Promise<CheckingKey[] | undefined> {
  const { verifyKey: files } = options;
  if (files !== undefined) {
    return Promise.all(files.map(async (file) => usable(checkingKeyOf, await readKeyFile(file), file, '--verify-key')));
  }
  terminal.warn(
    'SIGNATURES ARE NOT CHECKED: anybody who could write to this storage could have made these manifests. ' +
      'Give the public half of the signing key with --verify-key.',
  );
  return undefined;
}

/** Keys by what is in their files. Throws InvalidInput, InvalidConfiguration. */
export async function recoverOpeningKeys(options: KeyOptions): Promise<OpeningKey[]> {
  const files = options.key ?? [];
  if (files.length === 0) {
    throw new HoldfastError('InvalidInput', 'No key was given', {
      advice: 'Give --key FILE: the raw AES key, or the RSA private key, that the backup was encrypted to.',
    });
  }
  return Promise.all(files.map(async (file) => usable(openingKeyOf, await readKeyFile(file), file, '--key')));
}

const WANTED = {
  '--key': 'the raw AES key, or the RSA private key, that the backup was encrypted to',
  '--verify-key': 'the public half of the ed25519 key that signed, in PEM',
};

/** A key that is no good here may be a good one of another kind: what is told is which kind is wanted. */
function usable<Key>(
  load: (content: Buffer, file: string) => Key,
  content: Buffer,
  file: string,
  option: keyof typeof WANTED,
): Key {
  try {
    return load(content, file);
  } catch (cause) {
    const message = messageOf(cause).replace(/\.$/, '');
    throw new HoldfastError('InvalidInput', message, { advice: `${option} wants ${WANTED[option]}.`, cause });
  }
}

function checkingKeyOf(content: Buffer, file: string): CheckingKey {
  return loadCheckingKey(content.toString('utf8'), file);
}

const AES_KEY_BYTES = 32;

function openingKeyOf(content: Buffer, file: string): OpeningKey {
  // 32 bytes are a key as other tools keep it; as text, base64 or hex, it is longer.
  if (content.length === AES_KEY_BYTES) return loadAesKey(content.toString('base64'), file);
  const text = content.toString('utf8');
  return text.includes('-----BEGIN') ? loadRsaPrivateKey(text, file) : loadAesKey(text, file);
}

async function readKeyFile(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (cause) {
    throw new HoldfastError('InvalidInput', `The key file ${file} cannot be read: ${messageOf(cause)}`, {
      advice: 'Check its path and that this user may read it.',
      cause,
    });
  }
}
