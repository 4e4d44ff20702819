import { HoldfastError, isHoldfastError } from '../errors.ts';
import type { Manifest } from '../repository/manifest.ts';
import { readRepository, type Repository } from '../repository/listRepository.ts';
import { chooseBackup } from '../restore/choose/chooseBackup.ts';
import { noneTrusted, passOver, type Untrusted } from '../restore/choose/passOver.ts';
import type { BackupIndex, PassedOver, RestoreCopy } from '../restore/run.ts';
import type { CheckingKey } from '../seal/keys.ts';
import { noCheckingKey } from '../seal/noCheckingKey.ts';
import { draw } from './draw.ts';
import type { DrillInput } from './run.ts';

export interface ChooseDrillOptions {
  readonly input: Pick<DrillInput, 'source' | 'backup' | 'backend' | 'files'>;
  /** Every storage, or the one that was asked for. */
  readonly copies: readonly RestoreCopy[];
  readonly checkingKeys: readonly CheckingKey[];
  /** Decides what chance decides. */
  readonly seed: number;
  /** Whether a copy is known not to be good: such a one is left to whoever heals it, unless it was asked for by name. */
  readonly isKnownBad: (backup: string, backend: string) => boolean;
  readonly index?: BackupIndex | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ChosenDrill {
  readonly manifest: Manifest;
  readonly manifestSha256: string;
  readonly backend: string;
  readonly passedOver: readonly PassedOver[];
  /** Of `latest`: what speaks for a newer one, in words. */
  readonly newer?: readonly string[];
}

/**
 * Finds the copy that a drill tries out: of the backup that was named, or of a random one of all that lie on the storages,
 * each as likely as any other. A published manifest means that its copy was proven. `latest` and random never are of the
 * tier pre-restore. Throws InvalidInput where there is none, and what `chooseBackup` throws.
 */
export async function chooseDrill(options: ChooseDrillOptions): Promise<ChosenDrill> {
  const { backup } = options.input;
  return backup === undefined || backup === 'random' ? chooseRandom(options) : chooseNamed(options);
}

async function chooseNamed(options: ChooseDrillOptions): Promise<ChosenDrill> {
  const { input, copies, checkingKeys, seed, isKnownBad, index, signal } = options;
  const { source, backup } = input;
  const parts = input.files === false ? ['database'] : [];
  const chosen = await chooseBackup({ wish: { source, backup, parts }, copies, checkingKeys, index, signal });
  const { manifest, manifestSha256, passedOver, newer } = chosen;
  const names = chosen.copies.map(({ backend }) => backend);
  const good = names.filter((name) => !isKnownBad(manifest.id, name));
  return { manifest, manifestSha256, backend: drawn(good.length > 0 ? good : names, seed), passedOver, newer };
}

async function chooseRandom(options: ChooseDrillOptions): Promise<ChosenDrill> {
  const { input, seed } = options;
  if (options.checkingKeys.length === 0) throw noCheckingKey();
  const { found, readable, untrusted, passedOver } = await readAll(options);
  if (found.length === 0 && !readable && untrusted[0]) throw noneTrusted(input.source, untrusted, untrusted[0]);
  if (found.length === 0) throw noneFound(input, passedOver);
  const byBackup = Map.groupBy(found, ({ manifest }) => manifest.id);
  const holding = byBackup.get(drawn([...byBackup.keys()], seed)) ?? [];
  const backend = drawn(
    holding.map((each) => each.backend),
    seed,
  );
  const chosen = holding.find((each) => each.backend === backend);
  if (chosen === undefined) throw new TypeError('it was drawn from these');
  return { ...chosen, passedOver };
}

type Found = Omit<ChosenDrill, 'passedOver'>;

/** What could be tried, on all storages. Throws the first one's error where none could be asked. */
async function readAll({ input, copies, checkingKeys, isKnownBad, signal }: ChooseDrillOptions) {
  const passedOver: PassedOver[] = [];
  const failures: HoldfastError[] = [];
  const found: Found[] = [];
  const untrusted: Untrusted[] = [];
  let readable = false;
  for (const { backend, open } of copies) {
    let repository: Repository;
    try {
      repository = await readRepository(await open(), checkingKeys, { source: input.source }, signal);
    } catch (error) {
      signal?.throwIfAborted();
      if (!isHoldfastError(error)) throw error;
      failures.push(error);
      passedOver.push(passOver(backend, error));
      continue;
    }
    for (const { problem, location } of repository.problems)
      untrusted.push({ ...passOver(backend, problem), location, error: problem });
    readable ||= repository.backups.length > 0;
    for (const { manifest, sha256 } of repository.backups)
      if (canBeTried(manifest, input) && !isKnownBad(manifest.id, backend))
        found.push({ backend, manifest, manifestSha256: sha256 });
  }
  if (failures[0] && failures.length === copies.length) throw failures[0];
  passedOver.push(...untrusted.map(({ backend, reason }) => ({ backend, reason })));
  return { found, readable, untrusted, passedOver };
}

function canBeTried(manifest: Manifest, { files }: ChooseDrillOptions['input']): boolean {
  if (manifest.tier === 'pre-restore') return false;
  return manifest.database !== undefined || (files !== false && manifest.parts.some(({ tree }) => tree !== undefined));
}

function drawn(names: readonly string[], seed: number): string {
  const name = draw(names, seed);
  if (name === undefined) throw new TypeError('there is nothing to draw from');
  return name;
}

function noneFound({ source, backend }: ChooseDrillOptions['input'], passedOver: readonly PassedOver[]): HoldfastError {
  const reasons = firstOfEach(passedOver).join('; ');
  return new HoldfastError(
    'InvalidInput',
    `There is no backup of source ${source}${backend === undefined ? '' : ` on ${backend}`} to try out`,
    {
      advice:
        reasons === '' ? `Make one with \`holdfast backup ${source}\`.` : `Not everything could be read: ${reasons}`,
    },
  );
}

/** The first reason of each storage, and how many more it has. */
function firstOfEach(passedOver: readonly PassedOver[]): string[] {
  return [...Map.groupBy(passedOver, ({ backend }) => backend)].map(([backend, [first, ...more]]) => {
    const others = more.length === 0 ? '' : `, and ${more.length} more`;
    return `${backend}: ${first?.reason ?? ''}${others}`;
  });
}
