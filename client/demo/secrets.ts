import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../../core/errors.ts';

/** A password of the demo: made at its first use, kept in a file of mode 0600 that holdfast.yaml can refer to. */
export async function demoSecret(directory: string, name: string): Promise<string> {
  const path = secretPath(directory, name);
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
  const secret = randomBytes(18).toString('base64url');
  await writeSecret(directory, name, secret);
  return secret;
}

export async function writeSecret(directory: string, name: string, value: string): Promise<void> {
  await writeFile(secretPath(directory, name), value, { mode: 0o600 });
}

export function secretPath(directory: string, name: string): string {
  return join(directory, name);
}
