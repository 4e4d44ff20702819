import { findPrevious } from '../core/backup/findPrevious.ts';
import { preflight } from '../core/backup/preflight.ts';
import type { BackupInput } from '../core/backup/run.ts';
import type { Dependencies } from './dependencies.ts';
import type { StepContext } from './support/step.ts';

export const preflightStep =
  (dependencies: Dependencies) =>
  ({ signal }: StepContext, input: BackupInput) =>
    preflight({
      ...dependencies,
      input,
      signal,
      findPrevious: (job, warnings) => findPrevious({ ...dependencies, source: input.source, job, signal }, warnings),
    });
