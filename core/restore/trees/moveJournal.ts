import path from 'node:path';
import { z } from 'zod';
import { readRecord, recordDamaged, rootOf, withStaging, type OpenStaging, type Staging } from './stagingDirectory.ts';
import { directoriesAbove, targetsOf } from './treeTargets.ts';
import type { TreePlace } from './trees.ts';

const moveSchema = z.strictObject({
  live: z.string(),
  keptAs: z.string(),
  staged: z.string(),
  /** What was at `live`, as device and inode; null where nothing was. */
  before: z.string().nullable(),
  /** What takes its place. */
  after: z.string(),
});

const journalSchema = z.strictObject({
  moves: z.array(moveSchema),
  /** Directories above that had to be made, from the top. */
  made: z.array(z.string()),
  /** Everything has been moved: what happens to it from now on is the application's. */
  placed: z.boolean(),
});

export type Move = Readonly<z.infer<typeof moveSchema>>;
export type Journal = Readonly<z.infer<typeof journalSchema>>;

/**
 * What `placeTree` set out to move for this place, or what of that was taken back; undefined where it did not yet. Throws RefusedForSafety where it is
 * damaged, or names anything that is no target of this restore.
 */
export async function readJournal(
  place: TreePlace,
  which: 'moves' | 'takenBack' = 'moves',
): Promise<Journal | undefined> {
  return withStaging(place, async (staging) => staging && openJournal(place, staging, which));
}

async function openJournal(
  place: TreePlace,
  { named, own }: OpenStaging,
  which: 'moves' | 'takenBack',
): Promise<Journal | undefined> {
  const document = await readRecord(own[which], named[which]);
  if (document === undefined) return undefined;
  const { data: journal } = journalSchema.safeParse(document);
  if (!journal) throw recordDamaged(named[which], 'it holds something else');
  const strange = await strangers(journal, place, named);
  if (strange.length > 0) throw recordDamaged(named[which], `${strange.join(', ')} is not of this restore`);
  return journal;
}

async function strangers({ moves, made }: Journal, place: TreePlace, staging: Staging): Promise<string[]> {
  const targets = await targetsOf(place);
  const root = await rootOf(place);
  const known = new Set(
    targets.map(({ live, keptAs, within }) => [live, keptAs, path.join(staging.tree, within)].join('\0')),
  );
  const above = new Set(targets.flatMap(({ within }) => directoriesAbove(within)).map((each) => path.join(root, each)));
  return [
    ...moves
      .filter(({ live, keptAs, staged }) => !known.has([live, keptAs, staged].join('\0')))
      .map(({ live }) => live),
    ...made.filter((directory) => !above.has(directory)),
  ];
}
