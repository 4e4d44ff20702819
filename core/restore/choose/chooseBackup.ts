import { HoldfastError, isHoldfastError } from '../../errors.ts';
import { findPlaces, readRepository } from '../../repository/listRepository.ts';
import { readManifest, type ReadManifest } from '../../repository/readManifest.ts';
import { noCheckingKey } from '../../seal/noCheckingKey.ts';
import { lackOf } from './lackOf.ts';
import { newerBackups } from './newerBackups.ts';
import { noneTrusted, passOver, type Unpublished, type Untrusted } from './passOver.ts';
import type { BackupWish, ChooseBackupOptions, ChosenBackup, PassedOver, RestoreCopy } from '../run.ts';

/**
 * Finds the backup that is meant, by the manifests on the storages: by its id or the beginning of one, or the newest of
 * a source, now or before a time. A published manifest means that its copy was proven. `latest` never is a backup of
 * the tier pre-restore: it shows what somebody wanted to get away from; such a one is named by its id. What speaks for a
 * newer backup than the one that was found is told: see `newerBackups`.
 *
 * Throws InvalidInput, naming the nearest ids where an id is wrong; KeyMissing, ManifestInvalid, ObjectMissing where no
 * storage has a manifest to be trusted; the first storage's error where none could be asked.
 */
export async function chooseBackup(options: ChooseBackupOptions): Promise<ChosenBackup> {
  const { wish, checkingKeys } = options;
  if (checkingKeys?.length === 0) throw noCheckingKey();
  const byTime = wish.backup === undefined || wish.backup === 'latest';
  const chosen = byTime ? await newest(options) : await byId(options, wish.backup);
  return fitting(chosen, wish);
}

async function byId({ copies, checkingKeys, signal, wish }: ChooseBackupOptions, id: string): Promise<ChosenBackup> {
  if (wish.before !== undefined)
    throw invalid('A time is for the newest backup before it; this names one by its id', 'Give an id or a time.');
  const places = copies.map(({ backend, open }) => ({ name: backend, open }));
  const { location, holding, silent } = await findPlaces(places, id, signal, wish.source);
  const passedOver: PassedOver[] = silent.map(({ name, error }) => passOver(name, error));
  const found: Found[] = [];
  let problem: HoldfastError | undefined;
  for (const copy of copies.filter(({ backend }) => holding.includes(backend))) {
    try {
      found.push({ copy, ...(await readManifest(await copy.open(), location, checkingKeys, signal)) });
    } catch (error) {
      signal?.throwIfAborted();
      if (!isHoldfastError(error)) throw error;
      problem ??= error;
      passedOver.push(passOver(copy.backend, error));
    }
  }
  if (found.length === 0) {
    const asked = [...holding, ...silent.map(({ name }) => name)];
    const without = copies.filter(({ backend }) => !asked.includes(backend));
    const reasons = [...passedOver, ...without.map(({ backend }) => ({ backend, reason: 'it has none' }))];
    throw noGoodManifest(location.backup, reasons, problem);
  }
  return { ...together(found, passedOver), newer: [] };
}

/** One reason alone speaks for itself; of several none is left out, for each copy may be mended in its own way. */
function noGoodManifest(id: string, each: readonly PassedOver[], problem: HoldfastError | undefined): HoldfastError {
  if (problem && each.length === 1) return problem;
  const reasons = each.map(({ backend, reason }) => `${backend}: ${reason}`).join('; ');
  const advice = problem?.type === 'KeyMissing' ? problem.advice : undefined;
  return new HoldfastError(problem?.type ?? 'ObjectMissing', `No copy of backup ${id} can be used: ${reasons}`, {
    advice: advice ?? 'Choose another backup: `holdfast list` shows them.',
    ...(problem && { cause: problem }),
  });
}

async function newest(options: ChooseBackupOptions): Promise<ChosenBackup> {
  const { copies, signal, wish } = options;
  const { source } = wish;
  if (source === undefined) throw invalid('The newest backup of which source?', 'Name the source.');
  const until = timeOf(wish.before);
  const { found, untrusted, unpublished, silent } = await readAll(options, source);
  const passedOver = [...untrusted, ...silent];
  const candidates = found
    .filter(({ manifest }) => manifest.tier !== 'pre-restore' && lackOf(manifest, wish) === undefined)
    .toSorted((a, b) => b.manifest.startedAt.localeCompare(a.manifest.startedAt));
  // What was sealed after that time may have been read after it too.
  const first = candidates.find(({ manifest }) => until === undefined || Date.parse(manifest.sealedAt) <= until);
  if (first === undefined) {
    signal?.throwIfAborted();
    throw await noneFound({ wish, source, copies, candidates, found, untrusted, passedOver });
  }
  const chosen = candidates.filter(({ manifest }) => manifest.id === first.manifest.id);
  const readable = new Set(found.map(({ manifest }) => manifest.id));
  const doubts = await newerBackups({
    ...options,
    source,
    chosen: first.manifest,
    until,
    untrusted: untrusted.filter(({ location }) => !readable.has(location.backup)),
    unpublished: unpublished.filter(({ location }) => !readable.has(location.backup)),
    readable,
    silent,
  });
  const told = passedOver.filter((each) => !doubts.untrusted.some((untrustedOne) => untrustedOne === each));
  return {
    ...together(chosen, told.map(plain)),
    newer: doubts.newer,
    ...(doubts.indexSilent !== undefined && { indexSilent: doubts.indexSilent }),
  };
}

/** Without what does not go into histories. */
function plain({ backend, reason }: PassedOver): PassedOver {
  return { backend, reason };
}

/** All manifests of a source on all storages. Throws the first storage's error where none could be asked. */
async function readAll({ copies, checkingKeys, signal }: ChooseBackupOptions, source: string) {
  const found: Found[] = [];
  const untrusted: Untrusted[] = [];
  const unpublished: Unpublished[] = [];
  const silent: PassedOver[] = [];
  const failures: unknown[] = [];
  for (const copy of copies) {
    try {
      const read = await readRepository(await copy.open(), checkingKeys, { source }, signal);
      const { backups, problems } = read;
      unpublished.push(...read.unpublished.map((location) => ({ copy, location })));
      found.push(...backups.map((backup) => ({ copy, ...backup })));
      for (const { location, problem } of problems)
        untrusted.push({ ...passOver(copy.backend, problem), location, error: problem });
    } catch (error) {
      signal?.throwIfAborted();
      if (!isHoldfastError(error)) throw error;
      failures.push(error);
      silent.push(passOver(copy.backend, error));
    }
  }
  if (failures.length === copies.length && failures.length > 0) throw failures[0];
  return { found, untrusted, unpublished, silent };
}

interface Found extends ReadManifest {
  readonly copy: RestoreCopy;
}

/** Copies of one backup. All have the same manifest; one that has another is not used. */
function together(
  found: readonly Found[],
  passedOver: readonly PassedOver[],
): Omit<ChosenBackup, 'newer' | 'indexSilent'> {
  const [first] = found;
  if (first === undefined) throw new TypeError('somebody has found it');
  const others = found.filter(({ sha256 }) => sha256 !== first.sha256);
  return {
    manifest: first.manifest,
    manifestSha256: first.sha256,
    copies: found.filter((each) => !others.includes(each)).map(({ copy }) => copy),
    passedOver: [
      ...passedOver,
      ...others.map(({ copy }) => ({
        backend: copy.backend,
        reason: `its manifest of ${first.manifest.id} is another than the one on ${first.copy.backend}`,
      })),
    ],
  };
}

function fitting(chosen: ChosenBackup, wish: BackupWish): ChosenBackup {
  const { id, source, parts } = chosen.manifest;
  if (wish.source !== undefined && wish.source !== source)
    throw invalid(
      `Backup ${id} is of source ${source}, not ${wish.source}`,
      `Restore it as source ${source}, or see \`holdfast list ${wish.source}\`.`,
    );
  const lack = lackOf(chosen.manifest, wish);
  if (lack !== undefined)
    throw invalid(`Backup ${id} has no ${lack}`, `Its parts are: ${parts.map(({ part }) => part).join(', ')}.`);
  return chosen;
}

function timeOf(before: string | undefined): number | undefined {
  if (before === undefined) return undefined;
  const [, day] = POINT_IN_TIME.exec(before) ?? [];
  const time = Date.parse(before);
  // Date.parse takes far more for a time than anybody means by one, and turns 30 February into March.
  if (day === undefined || Number.isNaN(time) || !isDay(day))
    throw invalid(
      `${before} is no time`,
      'Write it like 2026-11-20T02:00:00Z, or with the zone as in 2026-11-20T03:00:00+01:00; a day alone begins at 00:00 UTC.',
    );
  return time;
}

/** ISO 8601: a day, or a time with its zone. What a time without one means depends on where it is read. */
const POINT_IN_TIME = /^(\d{4}-\d{2}-\d{2})(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2}))?$/;

function isDay(day: string): boolean {
  const midnight = new Date(day);
  return !Number.isNaN(midnight.getTime()) && midnight.toISOString().startsWith(day);
}

interface Missing {
  readonly wish: BackupWish;
  readonly source: string;
  readonly copies: readonly RestoreCopy[];
  readonly candidates: readonly Found[];
  readonly found: readonly Found[];
  readonly untrusted: readonly Untrusted[];
  readonly passedOver: readonly PassedOver[];
}

async function noneFound(missing: Missing): Promise<HoldfastError> {
  const { wish, source, candidates, found, untrusted, passedOver } = missing;
  const [problem] = untrusted;
  // They are there: that none can be trusted is what is wrong.
  if (found.length === 0 && problem) return noneTrusted(source, untrusted, problem);
  const wanted = [...(wish.parts ?? []), ...(wish.anyTree ? ['file trees'] : [])];
  const what = `There is no backup of source ${source}${wanted.length === 0 ? '' : ` with ${wanted.join(' and ')}`}`;
  const oldest = candidates.at(-1)?.manifest;
  const unread = passedOver.map(({ backend, reason }) => ` Not read: ${backend}: ${reason}.`).join('');
  return invalid(
    wish.before === undefined ? what : `${what} from before ${wish.before}`,
    `${oldest ? `The oldest is ${oldest.id}.` : found.length > 0 ? partsOf(found) : await sourcesOf(missing)}${unread}`,
  );
}

function partsOf(found: readonly Found[]): string {
  const parts = new Set(found.flatMap(({ manifest }) => manifest.parts.map(({ part }) => part)));
  return `The backups of this source hold: ${[...parts].join(', ')}.`;
}

async function sourcesOf({ copies }: Missing): Promise<string> {
  const sources = new Set<string>();
  for (const { open } of copies) {
    // One that could not be asked is told already.
    const names = await open()
      .then((backend) => Array.fromAsync(backend.listDirectories('')))
      .catch(() => []);
    for (const name of names) sources.add(name);
  }
  return sources.size === 0 ? 'There is no backup at all.' : `There are backups of: ${[...sources].join(', ')}.`;
}

function invalid(message: string, advice: string): HoldfastError {
  return new HoldfastError('InvalidInput', message, { advice });
}
