import { dumpSource } from '../core/backup/dumpSource.ts';
import type { BackupStep } from '../core/backup/run.ts';
import { unknownName } from '../core/config/open.ts';
import type { Dependencies } from './dependencies.ts';
import type { StepContext } from './support/step.ts';

export const dumpStep =
  (dependencies: Dependencies) =>
  async (context: StepContext, { id, assignment }: BackupStep) => {
    const { configuration, keys, spool, progress } = dependencies;
    const source = configuration.sources[assignment.source];
    const plan = configuration.plans[assignment.plan];
    // The configuration may have changed since the preflight, on this worker or between two.
    if (source === undefined) throw unknownName('source', assignment.source, Object.keys(configuration.sources));
    if (plan === undefined) throw unknownName('plan', assignment.plan, Object.keys(configuration.plans));
    return dumpSource({
      id,
      assignment,
      source,
      plan,
      access: await dependencies.databaseAccess(assignment.source),
      recipients: await keys.sealing(plan.encryptTo),
      spool,
      seal: dependencies.work.seal,
      signal: context.signal,
      onProgress: (part) => {
        context.checkpoint(part);
        progress.part(context, part);
      },
    });
  };
