import { readFile } from 'node:fs/promises';
import { findTar } from '../../../../core/files/tarProgram.ts';
import { compareTree } from '../../../../core/restore/trees/compareTree.ts';
import { describeTree, isWhole } from '../../../../core/restore/trees/describeTrees.ts';
import { dropTreeLeftOvers, placeTree } from '../../../../core/restore/trees/placeTree.ts';
import { restoreTree } from '../../../../core/restore/trees/restoreTree.ts';
import type { PlainPart } from '../../repository/storedBackup.ts';
import { placeOf, storeArchive } from './treeSupport.ts';

/**
 * Restores an archive into a new directory as whoever runs this, and prints what came of it: `archive`, `report` (JSON),
 * `path`, and `GNU tar` or `node-tar`.
 */
const [archive = '', report = '', path = '', program] = process.argv.slice(2);
const releases: (() => Promise<unknown>)[] = [];
try {
  const tar = program === 'GNU tar' ? await findTar() : undefined;
  const scope = { after: (release: () => Promise<unknown>) => void releases.push(release) };
  const tree = JSON.parse(await readFile(report, 'utf8')) as PlainPart['tree'];
  const backup = await storeArchive(scope, await readFile(archive), tree);
  const place = placeOf(path, { mode: 'new' });
  const restored = await restoreTree({ ...backup, tar, place });
  const comparison = await compareTree({ ...backup, tar, tree: 'media', directory: restored.directory });
  const placed = await placeTree(place);
  await dropTreeLeftOvers(place);
  const lines = describeTree({ ...placed, restored, comparison });
  process.stdout.write(`${JSON.stringify({ comparison, whole: isWhole(restored, comparison), lines })}\n`);
} finally {
  for (const release of releases.toReversed()) await release();
}
