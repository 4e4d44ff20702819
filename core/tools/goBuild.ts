import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readProcess } from '../process/childProcess.ts';
import type { Environment } from './programPath.ts';

export interface GoProgram {
  /** Content of the go.mod that pins the version. */
  readonly module: string;
  /** Import path of the program's package. */
  readonly package: string;
}

/**
 * Builds a Go program from its published module and moves it to `target` in one step, so that nobody ever sees half a
 * program. Rejects with `ToolMissing` where Go is missing and with the compiler's last words where it fails.
 */
export async function buildGoProgram(program: GoProgram, target: string, environment: Environment): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-go-'));
  try {
    await writeFile(join(directory, 'go.mod'), program.module);
    await readProcess({
      command: 'go',
      args: ['build', '-trimpath', '-o', `${target}.new`, program.package],
      workingDirectory: directory,
      // Go is configured by its environment: proxies, caches, toolchains.
      environment: { ...definedOnly(environment), GOFLAGS: '-mod=mod', GOWORK: 'off' },
    });
    await rename(`${target}.new`, target);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function definedOnly(environment: Environment): Record<string, string> {
  return Object.fromEntries(Object.entries(environment).filter((entry) => entry[1] !== undefined)) as Record<
    string,
    string
  >;
}
