import { arch, platform } from 'node:os';
import { join } from 'node:path';
import { HoldfastError } from '../errors.ts';
import { downloadProgram } from './downloadProgram.ts';
import { buildGoProgram } from './goBuild.ts';
import { findOnPath, firstExecutable, programCache, type Environment } from './programPath.ts';
import type { Say } from './say.ts';

const VERSION = 'v1.8.2';

/** `go install` refuses this program for its replace directive; a module of our own that repeats the directive builds it. */
const MODULE = `module holdfast.tools/temporal

go 1.26.4

require github.com/temporalio/cli ${VERSION}

replace github.com/temporalio/cli/cliext => github.com/temporalio/cli/cliext v0.0.0-20260731000218-c579925f193f
`;

/** The program `temporal`: TEMPORAL_CLI_PATH, PATH, then what an earlier run brought. Undefined when none has it. */
export async function findTemporalCli(environment: Environment): Promise<string | undefined> {
  const named = environment['TEMPORAL_CLI_PATH'];
  if (named) return named;
  return (await findOnPath('temporal', environment)) ?? (await firstExecutable([await broughtProgram(environment)]));
}

/**
 * As `findTemporalCli`, but brings the program where it is missing: from Temporal's own download service, the one its
 * SDKs use, and where that cannot be reached by building the published Go module. Rejects with `ToolMissing`.
 */
export async function bringTemporalCli(environment: Environment, say: Say): Promise<string> {
  const found = await findTemporalCli(environment);
  if (found !== undefined) return found;
  const target = await broughtProgram(environment);
  say(`The Temporal server (CLI ${VERSION}) is not here yet: downloading it, once, about 60 MB ...`);
  try {
    await downloadProgram(downloadAddress(), 'temporal', target);
    return target;
  } catch (downloadFailure) {
    if ((await findOnPath('go', environment)) === undefined) throw missing(downloadFailure);
  }
  say("temporal.download can't be reached: building the Temporal server with Go instead, once, about 8 minutes ...");
  await buildGoProgram(
    { module: MODULE, package: 'github.com/temporalio/cli/cmd/temporal' },
    target,
    environment,
  ).catch((cause: unknown) => {
    throw missing(cause);
  });
  return target;
}

async function broughtProgram(environment: Environment): Promise<string> {
  return join(await programCache(environment), 'temporal');
}

/** Source of the address: Temporal's documentation, "Set up a local development environment", manual download. */
function downloadAddress(): string {
  const architecture = arch() === 'x64' ? 'amd64' : arch();
  return `https://temporal.download/cli/archive/${VERSION}?platform=${platform()}&arch=${architecture}`;
}

function missing(cause?: unknown): HoldfastError {
  return new HoldfastError(
    'ToolMissing',
    'The Temporal CLI, which carries the Temporal server, is not on this machine',
    {
      advice:
        'Install it (https://docs.temporal.io/cli/setup-cli) and put it on PATH or into TEMPORAL_CLI_PATH, ' +
        'or install Go 1.26 or newer and try again.',
      cause,
    },
  );
}
