import type { Configuration, SourceConfiguration } from '../../config/schema.ts';
import { findTar } from '../../files/tarProgram.ts';
import type { Manifest } from '../../repository/manifest.ts';
import { isInPlace, isOfFilesAlone, type PlannedFiles, type RestoreInput } from '../flow.ts';
import { planTrees } from './planTrees.ts';
import { treesOf } from '../trees/treeParts.ts';
import { treesWanted, type WantedTrees } from './wantedTrees.ts';
import type { OwnDirectory, TreePlace } from '../trees/trees.ts';

/**
 * What an input wants of a source's file trees. In the modes `files` and `beside` that name none, all of the source that the backup has.
 * Throws as `treesWanted` does.
 */
export function wantedTrees(
  { files }: SourceConfiguration,
  { source, mode, files: whole, paths }: RestoreInput,
  inBackup: readonly string[] = Object.keys(files),
): WantedTrees {
  const known = Object.keys(files);
  const wanted = treesWanted({ whole, paths }, known, `Source ${source}`);
  if (!isOfFilesAlone(mode) || wanted.size > 0) return wanted;
  return treesWanted({ whole: known.filter((tree) => inBackup.includes(tree)) }, known, `Source ${source}`);
}

export interface PlanFilesOptions {
  readonly configuration: Configuration;
  readonly source: SourceConfiguration;
  readonly input: RestoreInput;
  readonly manifest: Manifest;
  readonly id: string;
  readonly mark: string;
  /** Where this is asked, which is where the trees are: its task queue and, for people, its name. */
  readonly spoolQueue: string;
  readonly host: string;
}

/** Looks what would happen to the wanted trees on this host; undefined where none is wanted. */
export async function planFiles(options: PlanFilesOptions): Promise<PlannedFiles | undefined> {
  const { configuration, source, input, manifest, id, mark, spoolQueue, host } = options;
  const wanted = wantedTrees(source, input, treesOf(manifest));
  if (wanted.size === 0) return undefined;
  const places = [...wanted].flatMap(([tree, paths]): TreePlace[] => {
    const configured = source.files[tree];
    if (configured === undefined) return [];
    const mode = isInPlace(input.mode) ? 'in-place' : 'beside';
    return [{ tree, path: configured.path, mode, id, mark, ...(paths && { paths }) }];
  });
  const plans = await planTrees({
    manifest,
    trees: places.map((place) => ({ ...place, exclude: source.files[place.tree]?.exclude })),
    tar: await findTar(),
    outsideLinks: input.outsideLinks,
    ownDirectories: ownDirectories(configuration),
  });
  return {
    host,
    hostQueue: spoolQueue,
    outsideLinks: input.outsideLinks === true,
    trees: places.flatMap((place, index) => {
      const plan = plans[index];
      if (plan === undefined) return [];
      const { findings, ...rest } = plan;
      return [
        {
          ...rest,
          place,
          findings: findings.map((each) => ({ ...each, message: `tree ${place.tree}: ${each.message}` })),
        },
      ];
    }),
  };
}

function ownDirectories({ spool, backends }: Configuration): OwnDirectory[] {
  const storages = Object.entries(backends).flatMap(([name, backend]) =>
    backend.type === 'local' ? [{ what: `the storage ${name}`, path: backend.path }] : [],
  );
  return [{ what: 'the spool', path: spool.path }, ...storages];
}
