import { open, type FileHandle } from 'node:fs/promises';
import { codeOf, HoldfastError, messageOf } from '../errors.ts';
import type { SecretReference } from './schemaParts.ts';

/** Owner may read and write, the group may read: what a key file should allow at most. */
const MODE_AT_MOST = 0o640;
const BYTES_AT_MOST = 64 * 1024;

export interface SecretOptions {
  /** Told once when the file can be read or written by more than its owner and group. Never holds the value. */
  readonly onWarning?: (warning: string) => void;
  readonly environment?: NodeJS.ProcessEnv;
}

/**
 * The value a reference points at: of an environment variable, or of a file less its last line break. Rejects with
 * `InvalidConfiguration` that names the variable or the file, never the value.
 */
export async function resolveSecret(reference: SecretReference, options: SecretOptions = {}): Promise<string> {
  const value = 'env' in reference ? fromEnvironment(reference.env, options) : await fromFile(reference.file, options);
  if (value !== '') return value;
  const where = 'env' in reference ? `the environment variable ${reference.env}` : reference.file;
  throw new HoldfastError('InvalidConfiguration', `${where} is empty; it must hold a secret`);
}

function fromEnvironment(name: string, { environment = process.env }: SecretOptions): string {
  const value = environment[name];
  if (value !== undefined) return value;
  throw new HoldfastError('InvalidConfiguration', `the environment variable ${name} is not set`, {
    advice: `Set ${name} for this process, or name a file with { file: PATH } instead.`,
  });
}

async function fromFile(path: string, { onWarning }: SecretOptions): Promise<string> {
  const handle = await openSecret(path);
  try {
    const { mode, size } = await handle.stat();
    if (size > BYTES_AT_MOST) {
      throw new HoldfastError('InvalidConfiguration', `${path} is too large to hold a secret (${size} bytes)`);
    }
    if ((mode & 0o777 & ~MODE_AT_MOST) !== 0) onWarning?.(tooOpen(path, mode));
    return (await handle.readFile('utf8')).replace(/\r?\n$/, '');
  } catch (cause) {
    throw cause instanceof HoldfastError ? cause : unreadable(path, cause);
  } finally {
    await handle.close();
  }
}

async function openSecret(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

function unreadable(path: string, cause: unknown): HoldfastError {
  const missing = codeOf(cause) === 'ENOENT';
  return new HoldfastError(
    'InvalidConfiguration',
    missing ? `the secret's file ${path} is missing` : `the secret's file ${path} cannot be read: ${messageOf(cause)}`,
    {
      advice: missing
        ? 'Create it, or correct its path in holdfast.yaml.'
        : 'Let the user that runs Holdfast read it: owner, or group with mode 0640.',
      cause,
    },
  );
}

function tooOpen(path: string, mode: number): string {
  return `${path} has mode 0${(mode & 0o777).toString(8)}: more users than its owner and group can reach it; run \`chmod 0600 ${path}\``;
}
