import type { CatalogedBackup } from '../catalog/record.ts';
import type { Configuration } from '../config/schema.ts';
import type { BackupLocation } from '../repository/layout.ts';
import { locationOf } from '../repository/location.ts';
import type { Manifest } from '../repository/manifest.ts';
import { flawInListing, type BackendView } from './lookAtBackend.ts';
import type { HealInput, LostBackup, SilentBackend, Wound, WoundCondition } from './run.ts';

export interface JudgeOptions {
  readonly id: string;
  readonly input: HealInput;
  readonly configuration: Configuration;
  /** Of the backends that answered. */
  readonly views: readonly BackendView[];
  readonly silent: readonly SilentBackend[];
  readonly cataloged: CatalogedBackup | undefined;
}

export interface BackupVerdict {
  readonly wounds: readonly Wound[];
  /** Copies that a listing finds nothing wrong with, as what a sample would read back. */
  readonly whole: readonly Wound[];
  readonly lost?: LostBackup;
  /** How many copies there should be. */
  readonly expected: number;
}

/** What is wrong with the copies of one backup, by what the backends and the catalog say. */
export function judgeBackup(options: JudgeOptions): BackupVerdict {
  const { id, input, views, silent, cataloged } = options;
  const folders = views.flatMap(({ backend, folders: all }) => {
    const folder = all.get(id);
    return folder ? [{ backend, folder }] : [];
  });
  const holders = folders.filter(({ folder }) => folder.read);
  const location = locationIn(folders[0]?.folder.location, cataloged);
  const expected = expectedBackends(options, holders[0]?.folder.read?.manifest);
  const names = input.backends ? expected.filter((name) => input.backends?.includes(name)) : expected;
  const [first] = holders;
  if (first?.folder.read === undefined || location === undefined) {
    // One that does not answer may be the one that has it.
    const reason = `no backend holds a right manifest of ${id}`;
    const answered = names.filter((name) => views.some(({ backend }) => backend === name));
    const lost = silent.length > 0 ? undefined : { backup: id, reason, backends: answered };
    return { wounds: [], whole: [], expected: names.length, ...(lost && { lost }) };
  }
  const { manifest, sha256 } = first.folder.read;
  const other = holders.find(({ folder }) => folder.read?.sha256 !== sha256);
  if (other) {
    const reason = `${first.backend} and ${other.backend} hold different manifests of ${id}, both rightly signed`;
    return { wounds: [], whole: [], expected: names.length, lost: { backup: id, reason, backends: [] } };
  }
  const candidates = [
    ...new Set([
      ...holders.map(({ backend }) => backend),
      ...views.map(({ backend }) => backend),
      ...silent.map(({ backend }) => backend),
    ]),
  ];
  const looks = names.flatMap((backend) => {
    const view = views.find((each) => each.backend === backend);
    if (view === undefined) return awayCopy(backend, location, options);
    const { suspect, ...found } = judgeCopy(view, id, manifest, cataloged);
    const wound = { location, backend, ...found, candidates: candidates.filter((name) => name !== backend) };
    return [{ suspect, wound }];
  });
  const deep = (input.depth ?? 'listed') !== 'listed';
  const order: Record<WoundCondition, number> = { missing: 0, damaged: 1, unproven: 2 };
  const wounds = looks.filter(({ suspect }) => deep || suspect).map(({ wound }) => wound);
  return {
    // A copy that is completed first may be what a damaged one is healed from.
    wounds: wounds.toSorted((a, b) => order[a.condition] - order[b.condition]),
    whole: deep ? [] : looks.filter(({ suspect }) => !suspect).map(({ wound }) => wound),
    expected: names.length,
  };
}

/** Of a backend that does not answer only those copies count as wounds that the catalog knows not to be good. */
function awayCopy(backend: string, location: BackupLocation, { cataloged, silent }: JudgeOptions) {
  const copy = cataloged?.copies.find((each) => each.backend === backend);
  const away = silent.find((each) => each.backend === backend)?.problem;
  if (copy === undefined || away === undefined || copy.state === 'verified' || copy.state === 'stored') return [];
  const condition: WoundCondition = copy.state === 'damaged' ? 'damaged' : 'missing';
  const reason = copy.problem?.message ?? `${backend}: noted as ${copy.state}`;
  return [{ suspect: true, wound: { location, backend, condition, reason, candidates: [], away } }];
}

function judgeCopy(
  { backend, folders }: BackendView,
  id: string,
  manifest: Manifest,
  cataloged: CatalogedBackup | undefined,
): Pick<Wound, 'condition' | 'reason' | 'unopened'> & { readonly suspect: boolean } {
  const folder = folders.get(id);
  if (folder?.problem) return { condition: 'damaged', reason: folder.problem.message, suspect: true };
  const copy = cataloged?.copies.find((each) => each.backend === backend);
  if (!folder?.read) {
    const failed = copy?.state === 'failed' ? copy.problem?.message : undefined;
    return { condition: 'missing', reason: failed ?? `${backend}: the manifest of ${id} is missing`, suspect: true };
  }
  const flaw = flawInListing(backend, manifest, folder);
  if (flaw !== undefined) return { condition: 'damaged', reason: flaw, suspect: true };
  // What a read-back found, a listing cannot see.
  if (copy?.state === 'damaged') {
    return { condition: 'damaged', reason: copy.problem?.message ?? 'found damaged', suspect: true };
  }
  // One that is whole by its listing, and was not the last time, or was never read: only reading it shows its worth.
  const returned = copy?.state === 'missing' || copy?.state === 'failed' || copy?.state === 'stored';
  const reason = returned ? `${backend}: noted as ${copy.state}` : '';
  return { condition: 'unproven', reason, suspect: returned, ...(copy?.state === 'stored' && { unopened: true }) };
}

/**
 * Where copies ought to be: where the run was to make them, by the catalog; else where its plan says. Named backends are
 * asked for a copy of everything. What was cancelled by hand is not completed against that will.
 */
function expectedBackends({ configuration, cataloged, input }: JudgeOptions, manifest: Manifest | undefined): string[] {
  const recorded = cataloged?.copies
    .filter(({ state }) => cataloged.problem?.type !== 'Cancelled' || state !== 'failed')
    .map(({ backend }) => backend);
  const plan = configuration.plans[manifest?.plan ?? ''];
  const planned = plan
    ? plan.backends
    : Object.values(configuration.plans).flatMap(({ source, backends }) => (source === input.source ? backends : []));
  const names = recorded && recorded.length > 0 ? recorded : planned;
  return [...new Set([...names, ...(input.backends ?? [])])].filter((name) => configuration.backends[name]);
}

function locationIn(
  found: BackupLocation | undefined,
  cataloged: CatalogedBackup | undefined,
): BackupLocation | undefined {
  return found ?? (cataloged && locationOf(cataloged));
}
