import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { HoldfastError } from '../../core/errors.ts';
import { findTar } from '../../core/files/tarProgram.ts';
import { findClientPrograms, type ClientPrograms } from '../../core/postgres/clients.ts';
import type { Finding } from '../../core/postgres/finding.ts';
import { warning } from '../../core/restore/plan/finding.ts';
import type { PlannedBackup, PlannedDatabase, PlannedFiles } from '../../core/restore/flow.ts';
import { databaseNameWith } from '../../core/restore/names.ts';
import { planTrees } from '../../core/restore/plan/planTrees.ts';
import { preflightTarget } from '../../core/restore/plan/preflightTarget.ts';
import { readDescription } from '../../core/restore/choose/readDescription.ts';
import { chooseRestorePrograms } from '../../core/restore/database/restorePrograms.ts';
import type { ChosenBackup, DatabaseDescription, PassedOver } from '../../core/restore/run.ts';
import { resolveTables } from '../../core/restore/database/selectTables.ts';
import { findLeftOvers } from '../../core/restore/database/targetDatabase.ts';
import type { TreePlace } from '../../core/restore/trees/trees.ts';
import type { RecoveryMeans } from './means.ts';
import { openTrees } from './openTrees.ts';
import type { DatabaseWish, RecoveryWish } from './wish.ts';

/** What a recovery would do, in the words of the plan of a restore. */
export interface RecoveryPlan {
  readonly backup: PlannedBackup;
  /** Storages that hold it, in the order in which they are tried. */
  readonly copies: readonly string[];
  readonly passedOver: readonly PassedOver[];
  readonly database?: PlannedDatabase;
  readonly files?: Pick<PlannedFiles, 'host' | 'outsideLinks' | 'trees'>;
  /** Names that the application needs (recorded with the backup) and that this environment lacks. */
  readonly missingEnvironment: readonly string[];
  /** Failures first. With one, nothing is begun. */
  readonly findings: readonly Finding[];
}

/** A plan, and what was found out for it that the steps after it need. */
export interface PreparedRecovery {
  readonly plan: RecoveryPlan;
  readonly chosen: ChosenBackup;
  readonly database?: PreparedDatabase;
  readonly places: readonly TreePlace[];
  readonly outsideLinks: boolean;
}

export interface PreparedDatabase {
  readonly wish: DatabaseWish;
  readonly description: DatabaseDescription;
  readonly clients: ClientPrograms;
  readonly mark: string;
  /** Name that the database has until it is whole. */
  readonly unfinished: string;
}

/** Looks what a recovery would do and what stands in its way. Changes nothing. */
export async function planRecovery(
  wish: RecoveryWish,
  chosen: ChosenBackup,
  places: readonly TreePlace[],
  means: RecoveryMeans,
): Promise<PreparedRecovery> {
  const { manifest, copies, passedOver } = chosen;
  const database = wish.database && (await planDatabase(wish.database, chosen, means));
  const outsideLinks = wish.trees?.outsideLinks === true;
  await openTrees(places, chosen, means);
  const trees = await planFiles(places, outsideLinks, chosen, means);
  const { id, tier, kind, startedAt, sealedAt } = manifest;
  const plan: RecoveryPlan = {
    backup: { id, tier, kind, startedAt, sealedAt, manifestSha256: chosen.manifestSha256 },
    copies: copies.map(({ backend }) => backend),
    passedOver,
    ...(database && { database: database.planned }),
    ...(wish.trees && { files: { host: hostname(), outsideLinks, trees } }),
    missingEnvironment: manifest.environment.filter((name) => !means.environment.includes(name)),
    findings: eachOnce([...(database?.findings ?? []), ...trees.flatMap(({ findings }) => findings)]).toSorted(
      (a, b) => Number(a.severity === 'warning') - Number(b.severity === 'warning'),
    ),
  };
  return { plan, chosen, ...(database && { database: database.prepared }), places, outsideLinks };
}

/** Trees that come into one directory find the same of it. */
function eachOnce(findings: readonly Finding[]): Finding[] {
  return [...new Map(findings.map((each) => [JSON.stringify([each.severity, each.message]), each])).values()];
}

/** What stands in the way, all of it; undefined where nothing does. */
export function refusalOf({ findings }: RecoveryPlan): HoldfastError | undefined {
  const failures = findings.filter(({ severity }) => severity === 'failure');
  if (failures.length === 0) return undefined;
  const type = failures.some((each) => each.type === 'InvalidInput') ? 'InvalidInput' : 'RefusedForSafety';
  const message = failures.map((each) => each.message).join('; ');
  // A line for each: some end with a command, which is there to be copied.
  return new HoldfastError(type, message, { advice: [...new Set(failures.map(({ advice }) => advice))].join('\n') });
}

async function planDatabase(
  wish: DatabaseWish,
  { copies, manifest }: ChosenBackup,
  { openingKeys, signal, passOver }: RecoveryMeans,
): Promise<{ prepared: PreparedDatabase; planned: PlannedDatabase; findings: readonly Finding[] }> {
  const { server, target, tables, noOwner, noPrivileges, jobs } = wish;
  if (!manifest.database)
    throw new HoldfastError('InvalidInput', `Backup ${manifest.id} has no database`, {
      advice: `Its parts are: ${manifest.parts.map(({ part }) => part).join(', ')}.`,
    });
  const clients = chooseRestorePrograms(await findClientPrograms(), manifest.database.clientVersion);
  const description = await readDescription(copies, manifest, openingKeys, signal);
  passOver(description.passedOver);
  if (tables) resolveTables(description.inventory, tables);
  // The same for every try: what one that was killed has left is replaced by the next.
  const mark = `recover/${target}`;
  const unfinished = unfinishedName(target);
  const { findings, ...facts } = await preflightTarget({ ...wish, manifest, description, signal });
  const left = await findLeftOvers({ server, target: unfinished, mark });
  return {
    prepared: { wish, description, clients, mark, unfinished },
    planned: {
      server: `${server.host}:${server.port}`,
      target: unfinished,
      name: target,
      bytes: manifest.database.bytes,
      ...facts,
      scope: { noOwner, noPrivileges, tables },
      jobs,
      mark,
    },
    findings: [...findings, ...left.map(leftBehind)],
  };
}

/** Of each target its own: whoever tries again finds what was left of it. */
function unfinishedName(target: string): string {
  return databaseNameWith(target, 'restoring', createHash('sha256').update(target).digest('hex').slice(0, 8));
}

function leftBehind(name: string): Finding {
  return warning(`database ${name} is what a recovery that was killed left unfinished`, 'It is dropped.');
}

async function planFiles(
  places: readonly TreePlace[],
  outsideLinks: boolean,
  { manifest }: ChosenBackup,
  { ownDirectories }: RecoveryMeans,
): Promise<PlannedFiles['trees']> {
  if (places.length === 0) return [];
  const plans = await planTrees({ manifest, trees: places, tar: await findTar(), outsideLinks, ownDirectories });
  return plans.flatMap((plan, index) => {
    const place = places[index];
    return place ? [{ ...plan, place }] : [];
  });
}
