import { backupRecordOf, verificationsOf } from '../core/backup/backupRecord.ts';
import type { RecordedRun } from '../core/backup/run.ts';
import { recordBackup } from '../core/catalog/write.ts';
import type { Dependencies } from './dependencies.ts';
import { signedManifestFor } from './support/manifest.ts';
import type { StepContext } from './support/step.ts';
import { tellCatalog } from './support/tellCatalog.ts';

export const recordStep = (dependencies: Dependencies) => async (_context: StepContext, run: RecordedRun) => {
  const { result, step, sealed } = run;
  const published =
    step && sealed && result.copies.some(({ state }) => state === 'verified')
      ? await signedManifestFor(dependencies, step, sealed)
      : undefined;
  await tellCatalog(async () =>
    recordBackup(await dependencies.catalog(), backupRecordOf(run, published), verificationsOf(run)),
  );
};
