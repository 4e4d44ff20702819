import type { Catalog } from '../../catalog/catalog.ts';
import { listBackups } from '../../catalog/read.ts';
import type { CatalogedBackup, CopyState } from '../../catalog/record.ts';
import type { AskLiveRuns } from '../../sweep/liveRuns.ts';
import type { BackupIndex } from '../run.ts';

/** A copy that failed was never published. */
const NEVER_PUBLISHED: CopyState = 'failed';

/** The catalog, and whoever knows which runs are under way, for `chooseBackup`. */
export function backupIndex(catalog: () => Promise<Catalog>, liveRuns: AskLiveRuns): BackupIndex {
  return {
    begunSince: async (source, since) =>
      (await listBackups(await catalog(), { source, since })).map((backup) => ({
        ...backup,
        published: publishedCopies(backup),
      })),
    liveRuns,
  };
}

function publishedCopies({ manifest, copies }: CatalogedBackup): string[] {
  if (manifest === undefined) return [];
  return copies.filter(({ state }) => state !== NEVER_PUBLISHED).map(({ backend }) => backend);
}
