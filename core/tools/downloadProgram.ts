import { chmod, mkdtemp, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { extract } from 'tar';

const CONNECT_TIMEOUT = 10_000;

/**
 * Downloads a .tar.gz and puts one program out of it at `target`, whole or not at all.
 * Rejects with whatever failed; nothing is left behind then.
 */
export async function downloadProgram(address: string, program: string, target: string): Promise<void> {
  const scratch = await mkdtemp(join(dirname(target), '.download-'));
  try {
    const body = await openDownload(address);
    await pipeline(Readable.fromWeb(body as ReadableStream), extract({ cwd: scratch, strict: true }, [program]));
    await chmod(join(scratch, program), 0o755);
    await rename(join(scratch, program), target);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** The time limit is for the answer's beginning only; the transfer itself may take as long as the line needs. */
async function openDownload(address: string): Promise<unknown> {
  const connecting = new AbortController();
  const timer = setTimeout(() => connecting.abort(new Error(`${address} did not answer`)), CONNECT_TIMEOUT);
  try {
    const response = await fetch(address, { signal: connecting.signal });
    if (!response.ok || !response.body) throw new Error(`${address} answered ${response.status}`);
    return response.body;
  } finally {
    clearTimeout(timer);
  }
}
