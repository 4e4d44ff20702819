import { Readable } from 'node:stream';
import { HoldfastError } from '../errors.ts';
import { startProducer } from '../process/childProcess.ts';
import { creationArguments, type TarProgram } from './tarProgram.ts';
import { createTarReader, type TarEntry } from './tarReader.ts';

/**
 * The extended attributes and ACLs that entries of a directory have, as `TarEntry.attributes` tells them, by the names asked
 * for (relative, one character a byte). One that is not there or cannot be read is not in the answer.
 *
 * Node cannot read them, and other programs that can are on few machines: GNU tar puts the entries into an archive, of which
 * only the headers are looked at. That costs a second read of their contents; where they were read just before, from memory.
 */
export async function readAttributes(
  tar: TarProgram,
  directory: string,
  names: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Map<string, NonNullable<TarEntry['attributes']>>> {
  const { output, finished } = await startProducer({
    command: tar.path,
    args: [
      ...creationArguments(tar),
      // Of two names of one file both tell its attributes.
      '--hard-dereference',
      '--no-recursion',
      '--null',
      '--no-unquote',
      '--files-from=-',
    ],
    environment: { LC_ALL: 'C' },
    // Not as an argument: a path by a handle leads there in this process only, until the program begins.
    workingDirectory: directory,
    input: Readable.from([Buffer.from(names.map((name) => `./${name}\0`).join(''), 'latin1')]),
    acceptedExitCodes: [1],
    ...(signal && { signal }),
  });
  const found = new Map<string, NonNullable<TarEntry['attributes']>>();
  const reader = createTarReader({
    onEntry: ({ path, attributes }) => {
      found.set(path.replace(/^\.\//, '').replace(/\/$/, ''), attributes ?? new Map());
      return 'drop';
    },
    attributes: true,
    damaged: (what) => new HoldfastError('RestoreFailed', `the archive program wrote no whole archive: ${what}`),
  });
  for await (const chunk of output) reader.push(chunk);
  await finished;
  reader.end();
  return found;
}
