import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { findOnPath } from '../../core/tools/programPath.ts';
import { temporaryDirectory } from './directories.ts';

/** Without the server's headers, which few machines have: the block that a library is recognized by, written by hand. */
const MAGIC = `
  struct magic { int length, version, max_args, max_keys, name_length, float8_by_value; char abi[32]; };
  static const struct magic data = { sizeof(struct magic), MAJOR * 100, 100, 32, 64, 1, "PostgreSQL" };
  const void *Pg_magic_func(void) { return &data; }`;

/** Path of a library that a server of this major version loads. Skips the test where it cannot be built. */
export async function buildPostgresLibrary(
  context: TestContext,
  major: number,
  code: string,
): Promise<string | undefined> {
  const obstacle = await obstacleTo(major);
  if (obstacle !== undefined) {
    context.skip(obstacle);
    return undefined;
  }
  const directory = await temporaryDirectory(context, { reachable: true });
  const [source, library] = [join(directory, 'library.c'), join(directory, 'library.so')];
  await writeFile(source, MAGIC + code);
  await promisify(execFile)('gcc', ['-shared', '-fPIC', `-DMAJOR=${major}`, '-o', library, source]);
  return library;
}

async function obstacleTo(major: number): Promise<string | undefined> {
  // The block is another before 15 and from 18 on.
  if (major < 15 || major > 17) return `libraries are written for servers 15 to 17, not ${major}`;
  if (await findOnPath('gcc', process.env)) return undefined;
  return 'a library for the server is built with gcc, which is not on this machine';
}
