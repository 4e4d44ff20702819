import { Readable } from 'node:stream';
import { startProcess } from '../process/childProcess.ts';
import { drain, leftOpen } from './asyncItems.ts';

export interface RestoreToTextOptions {
  /** Path of a pg_restore at least as new as the pg_dump that wrote the archive. */
  readonly pgRestore: string;
  /** `discard` reads the whole archive and hands out nothing. */
  readonly output: 'sql' | 'discard';
  readonly signal?: AbortSignal | undefined;
}

/**
 * Lets pg_restore turn a pg_dump-custom archive into SQL, which walks every data block of it. Ends well only when
 * pg_restore did and the archive's own stream came to a good end. Throws the stream's error where it has one, else
 * DumpFailed or ToolMissing. Stopping early ends the process.
 */
export async function* restoreToText(
  archive: AsyncIterator<Buffer>,
  options: RestoreToTextOptions,
): AsyncGenerator<Buffer, void> {
  const source = leftOpen(archive);
  const stop = new AbortController();
  const { stdout, finished } = startProcess({
    command: options.pgRestore,
    args: ['--format=custom', options.output === 'sql' ? '--file=-' : '--file=/dev/null'],
    input: Readable.from(source, { objectMode: false }),
    signal: options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal,
  });
  try {
    for await (const chunk of stdout) yield chunk as Buffer;
    await finished;
    // pg_restore stops at the end of the last block; the stream's own checks come after it.
    await drain(archive);
  } catch (error) {
    throw source.failure ? source.failure.error : error;
  } finally {
    stop.abort();
  }
  if (source.failure) throw source.failure.error;
}
