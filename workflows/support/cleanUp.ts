import { CancellationScope } from '@temporalio/workflow';
import type { BackupStep } from '../../core/backup/run.ts';
import { warn, type BackupRun } from './backupRun.ts';
import { describeLostHost, lostTheHost } from './lostHost.ts';
import { problemOf } from './problem.ts';
import { discardCopy, spoolSteps } from './steps.ts';

/** Nothing stays in the spool, and nothing on a backend that no manifest names. Done for cancelled runs too. */
export async function cleanUp(run: BackupRun, step: BackupStep): Promise<void> {
  const unpublished = run.copies.filter(({ state }) => state !== 'verified').map(({ backend }) => backend);
  await CancellationScope.nonCancellable(() =>
    Promise.all([emptySpool(run, step), takeBackFrom(unpublished, run, step)]),
  );
}

/** Takes back everything that a run whose host was lost has left on the backends; none of it was published. */
export async function takeBack(run: BackupRun, step: BackupStep): Promise<void> {
  await CancellationScope.nonCancellable(() => takeBackFrom(step.assignment.backends, run, step));
}

async function emptySpool(run: BackupRun, step: BackupStep): Promise<void> {
  if (lostTheHost(run)) warn(run, describeLostHost(step, 'no further copy could be made'));
  else {
    await attempt(run, 'The spool still holds ciphertext of this run', () =>
      spoolSteps(step.assignment).removeSpool(step),
    );
  }
}

async function takeBackFrom(backends: readonly string[], run: BackupRun, step: BackupStep): Promise<void> {
  await Promise.all(
    backends.map((backend) =>
      attempt(run, `${backend} may still hold parts of this run that no manifest names`, () =>
        discardCopy.executeWithOptions({ summary: `on ${backend}` }, [{ ...step, backend }]),
      ),
    ),
  );
}

async function attempt(run: BackupRun, otherwise: string, step: () => Promise<void>): Promise<void> {
  try {
    await step();
  } catch (error) {
    warn(run, `${otherwise}: ${problemOf(error).message}`);
  }
}
