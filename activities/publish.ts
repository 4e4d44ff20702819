import { locationOf } from '../core/backup/describeBackup.ts';
import { publishCopy } from '../core/backup/publishCopy.ts';
import type { SealedCopyStep } from '../core/backup/run.ts';
import type { Dependencies } from './dependencies.ts';
import { signedManifestFor } from './support/manifest.ts';
import type { StepContext } from './support/step.ts';

export const publishStep = (dependencies: Dependencies) => async (context: StepContext, step: SealedCopyStep) => {
  const manifest = await signedManifestFor(dependencies, step, step.sealed);
  const backend = await dependencies.backends.get(step.backend);
  await publishCopy(backend, locationOf(step), manifest, context.signal);
};
