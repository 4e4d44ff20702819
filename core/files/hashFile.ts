import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { atLongPath } from './longPaths.ts';

const READ_BYTES = 2 ** 20;

/** SHA-256 of a file's contents, lower-case hex; of no link's target. Rejects with the system's error. */
export async function hashFile(file: Buffer): Promise<string> {
  const handle = await atLongPath(file, (at) => open(at, constants.O_RDONLY | constants.O_NOFOLLOW));
  try {
    const hash = createHash('sha256');
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, buffer.length);
      if (bytesRead === 0) return hash.digest('hex');
      hash.update(buffer.subarray(0, bytesRead));
    }
  } finally {
    await handle.close();
  }
}
