import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { testServersFromEnvironment } from './addresses.ts';
import type { Application } from './application.ts';

/** Where an object of a backup of tier manual lies on disk: the S3 server keeps objects as files, too. */
export function fileOf(app: Application, backend: string, id: string, object: string): string {
  const settings = app.settings.backends[backend];
  const { directory } = testServersFromEnvironment().s3;
  const root = settings?.type === 'local' ? settings.path : join(directory, 'buckets', settings?.bucket ?? '');
  return join(root, 'shop', 'manual', id, object);
}

/** Changes one bit in the middle of a file. */
export async function flipBit(file: string): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    const { size } = await handle.stat();
    const byte = Buffer.alloc(1);
    await handle.read(byte, 0, 1, Math.floor(size / 2));
    byte[0] = (byte[0] ?? 0) ^ 1;
    await handle.write(byte, 0, 1, Math.floor(size / 2));
  } finally {
    await handle.close();
  }
}
