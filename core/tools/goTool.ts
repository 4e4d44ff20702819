import { join } from 'node:path';
import { HoldfastError } from '../errors.ts';
import { buildGoProgram } from './goBuild.ts';
import { findOnPath, firstExecutable, programCache, type Environment } from './programPath.ts';
import type { Say } from './say.ts';

/** A program that is built with Go from its published module where the machine lacks it. */
export interface GoTool {
  /** Name of the program on PATH and in the cache. */
  readonly program: string;
  /** Names the program's path, ahead of PATH. */
  readonly variable: string;
  /** What it is, for messages: `versitygw, a small S3 server`. */
  readonly what: string;
  readonly module: string;
  readonly version: string;
  /** Import path of the program's package. */
  readonly package: string;
  /** The oldest Go that builds it. */
  readonly go: string;
  /** How long building takes, e.g. `about 2 minutes`. */
  readonly takes: string;
  readonly releases: string;
}

/** The program: its variable, PATH, then what an earlier run built. Undefined when none has it. */
export async function findGoTool(tool: GoTool, environment: Environment): Promise<string | undefined> {
  const named = environment[tool.variable];
  if (named) return named;
  return (
    (await findOnPath(tool.program, environment)) ?? (await firstExecutable([await builtProgram(tool, environment)]))
  );
}

/** As `findGoTool`, but builds it with Go first where it is missing. Rejects with `ToolMissing`. */
export async function bringGoTool(tool: GoTool, environment: Environment, say: Say): Promise<string> {
  const found = await findGoTool(tool, environment);
  if (found !== undefined) return found;
  if ((await findOnPath('go', environment)) === undefined) throw missing(tool);
  const target = await builtProgram(tool, environment);
  say(`${tool.what} (${tool.version}), is not here yet: building it with Go, once, ${tool.takes} ...`);
  const module = `module holdfast.tools/${tool.program}\n\ngo ${tool.go}\n\nrequire ${tool.module} ${tool.version}\n`;
  await buildGoProgram({ module, package: tool.package }, target, environment).catch((cause: unknown) => {
    throw missing(tool, cause);
  });
  return target;
}

async function builtProgram(tool: GoTool, environment: Environment): Promise<string> {
  return join(await programCache(environment), tool.program);
}

function missing(tool: GoTool, cause?: unknown): HoldfastError {
  return new HoldfastError('ToolMissing', `${tool.what}, is not on this machine`, {
    advice:
      `Install Go ${tool.go} or newer and try again, or put ${tool.program} ${tool.version} on PATH or into ` +
      `${tool.variable} (${tool.releases}).`,
    cause,
  });
}
