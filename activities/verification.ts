import { recordVerification } from '../core/catalog/write.ts';
import { assignVerification } from '../core/verification/assignVerification.ts';
import type { CopyVerdict, VerifyCopyStep, VerifyInput } from '../core/verification/run.ts';
import { verifyCopy } from '../core/verification/verifyCopy.ts';
import type { Dependencies } from './dependencies.ts';
import type { StepContext } from './support/step.ts';

export const findCopiesStep =
  (dependencies: Dependencies) =>
  ({ signal }: StepContext, input: VerifyInput) =>
    assignVerification({ ...dependencies, input, signal });

export const verifyCopyStep = (dependencies: Dependencies) => (context: StepContext, step: VerifyCopyStep) =>
  verifyCopy({
    ...dependencies,
    openPart: dependencies.work.openPart,
    step,
    signal: context.signal,
    onProgress: (bytes) => {
      context.checkpoint({ bytes });
      dependencies.progress.verified(context, step.backend, bytes);
    },
  });

export const recordVerdictsStep =
  (dependencies: Dependencies) => async (context: StepContext, backup: string, verdicts: readonly CopyVerdict[]) => {
    const catalog = await dependencies.catalog();
    for (const { backend, depth, outcome, at, duration, problems } of verdicts) {
      await recordVerification(catalog, {
        backupId: backup,
        backend,
        depth,
        outcome,
        at,
        durationMs: duration,
        ...(problems.length > 0 && { message: problems.join('\n') }),
      });
    }
    dependencies.progress.close(context);
  };
