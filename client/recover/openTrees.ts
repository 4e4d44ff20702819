import { fromGoodCopy } from '../../core/restore/choose/fromGoodCopy.ts';
import type { ChosenBackup } from '../../core/restore/run.ts';
import { treeNamed } from '../../core/restore/trees/treeParts.ts';
import type { TreePlace } from '../../core/restore/trees/trees.ts';
import { readPart } from '../../core/repository/readPart.ts';
import type { RecoveryMeans } from './means.ts';

/**
 * Opens the beginning of every tree that is wanted, so that a key that does not fit is known before anything is made.
 * Throws KeyMissing, InvalidInput for a part that is no tree, and for lack of a good copy what is wrong with the last one.
 */
export async function openTrees(
  places: readonly TreePlace[],
  { copies, manifest }: ChosenBackup,
  { openingKeys, signal, passOver }: RecoveryMeans,
): Promise<void> {
  for (const { tree } of places) {
    const part = treeNamed(manifest, tree);
    const { passedOver } = await fromGoodCopy(
      copies,
      async (backend) => {
        const plaintext = readPart(backend, manifest, part, openingKeys, signal)[Symbol.asyncIterator]();
        await plaintext.next();
        await plaintext.return?.();
      },
      signal,
    );
    passOver(passedOver);
  }
}
