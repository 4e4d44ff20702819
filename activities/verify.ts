import type { SealedCopyStep, StepTime } from '../core/backup/run.ts';
import { findRestoreProgram } from '../core/postgres/restoreProgram.ts';
import { openCopy, verifyStored, type CopyReport, type VerifyOptions } from '../core/repository/verify.ts';
import type { Dependencies } from './dependencies.ts';
import { manifestFor } from './support/manifest.ts';
import type { StepContext } from './support/step.ts';

export const verifyChecksumStep =
  (dependencies: Dependencies) => async (context: StepContext, step: SealedCopyStep) => {
    const backend = await dependencies.backends.get(step.backend);
    return proven(
      await verifyStored(
        backend,
        manifestFor(dependencies, step, step.sealed),
        optionsFor(dependencies, context, step),
      ),
    );
  };

export const openStep = (dependencies: Dependencies) => async (context: StepContext, step: SealedCopyStep) => {
  const { backends, keys, work } = dependencies;
  const manifest = manifestFor(dependencies, step, step.sealed);
  const report = await openCopy(await backends.get(step.backend), manifest, {
    ...optionsFor(dependencies, context, step),
    openingKeys: await keys.opening(),
    openPart: work.openPart,
    pgRestore: manifest.database ? await findRestoreProgram(manifest.database.clientVersion) : undefined,
  });
  return proven(report);
};

function optionsFor({ progress }: Dependencies, context: StepContext, { backend }: SealedCopyStep): VerifyOptions {
  return {
    signal: context.signal,
    onProgress: (bytes) => {
      context.checkpoint({ bytes });
      progress.verified(context, backend, bytes);
    },
  };
}

/** A copy is proven when nothing at all is wrong with it. */
function proven({ problems, durationMs }: CopyReport): StepTime {
  const [first] = problems;
  if (first !== undefined) throw first;
  return { duration: durationMs };
}
