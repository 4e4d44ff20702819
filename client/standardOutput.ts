import { writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { Writable } from 'node:stream';
import { HoldfastError, messageOf } from '../core/errors.ts';
import { explained } from '../core/systemErrors.ts';
import type { OutputStream } from './terminal.ts';

/**
 * The process's standard output. Node's own stream for a file takes a write that was cut short, as the last one on a full
 * disk is, for a whole one: here all of it is written, or the stream fails.
 */
export function standardOutput(): OutputStream {
  const stdout: OutputStream = process.stdout;
  return stdout instanceof Socket ? stdout : fileOutput(process.stdout.fd);
}

function fileOutput(file: number): OutputStream {
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      try {
        for (let written = 0; written < chunk.length;) written += writeSync(file, chunk, written);
      } catch (error) {
        done(error as Error);
        return;
      }
      done();
    },
  });
}

/** Resolves when all that was written has gone out, or has failed and whoever listens for that was told. */
export async function flushed(stream: OutputStream): Promise<void> {
  await new Promise<void>((resolve) => {
    stream.write('', () => setImmediate(resolve));
  });
}

/** What is to be said where the answer of a command could not be written. */
export function outputLost(error: Error): HoldfastError {
  const cause = messageOf(explained(error, { where: 'standard output' }));
  return new HoldfastError('HostFailed', `The answer could not be written, or not all of it: ${cause}`, {
    advice:
      'Make room there, or send it elsewhere. Only the answer is lost: what the command itself did is done. Look (`holdfast list`, `holdfast show`) before it is run again.',
    cause: error,
  });
}
