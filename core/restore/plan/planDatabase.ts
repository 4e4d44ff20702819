import { restoreServer, sourceDatabases } from '../../config/open.ts';
import type { Keys } from '../../config/open.ts';
import type { Configuration, SourceConfiguration } from '../../config/schema.ts';
import type { DatabaseAccess } from '../../postgres/access.ts';
import { findClientPrograms } from '../../postgres/clients.ts';
import type { Finding } from '../../postgres/finding.ts';
import { findDeadTargets } from '../database/deadTargets.ts';
import { warning } from './finding.ts';
import type { PlannedDatabase, RestoreInput } from '../flow.ts';
import { leftMessage } from '../database/leftAlone.ts';
import { databaseNameWith } from '../names.ts';
import { preflightTarget } from './preflightTarget.ts';
import { readDescription } from '../choose/readDescription.ts';
import { lookAtReplaced, replacedFindings, type DatabaseInPlace } from './replaced.ts';
import { chooseRestorePrograms } from '../database/restorePrograms.ts';
import type { ChosenBackup, RestoreScope } from '../run.ts';
import { resolveTables } from '../database/selectTables.ts';

/** A definition of every role of a server must not fill a history. */
const MOST_ROLES = 50;

export interface PlanDatabaseOptions {
  readonly configuration: Configuration;
  readonly source: SourceConfiguration;
  readonly input: RestoreInput;
  readonly chosen: ChosenBackup;
  readonly keys: Keys;
  readonly id: string;
  readonly mark: string;
  readonly signal?: AbortSignal | undefined;
}

/** Looks what a restore would do on its server, and what stands in its way. Throws as `planRestore` says. */
export async function planDatabase(
  options: PlanDatabaseOptions,
): Promise<{ database: PlannedDatabase; findings: Finding[] }> {
  const { configuration, source, input, chosen, keys, id, mark, signal } = options;
  const { manifest, copies } = chosen;
  const server = await restoreServer(configuration, input.source);
  const description = await readDescription(copies, manifest, await keys.opening(), signal);
  // Before anybody is asked to approve what cannot be done.
  chooseRestorePrograms(await findClientPrograms(), manifest.database?.clientVersion ?? '');
  const scope: RestoreScope = { noOwner: input.noOwner, noPrivileges: input.noPrivileges, tables: input.tables };
  if (scope.tables) resolveTables(description.inventory, scope.tables);
  const ownName = source.database?.name ?? '';
  const inPlace = input.mode === 'replace' ? await lookAtReplaced(server, ownName, signal) : undefined;
  // Until it is whole no database has a name by which anybody would look for it.
  const target = databaseNameWith(ownName, 'restoring', id);
  const name = input.mode === 'replace' ? ownName : (input.target ?? databaseNameWith(ownName, 'restored', id));
  const { findings, createRoles, ...facts } = await preflightTarget({
    manifest,
    description,
    server,
    target: inPlace ? target : name,
    namedAfterSource: input.target === undefined || input.target === ownName,
    createRoles: input.createRoles,
    ...(inPlace && { replaces: ownName }),
    ...scope,
    signal,
  });
  return {
    database: {
      server: `${server.host}:${server.port}`,
      target,
      name,
      ...(inPlace && { replaces: replacedBy(inPlace, description.inventory.database.template === true, ownName, id) }),
      bytes: manifest.database?.bytes ?? 0,
      ...facts,
      createRoles: createRoles.slice(0, MOST_ROLES),
      scope,
      jobs: input.jobs ?? source.restore.jobs,
      mark,
    },
    findings: [
      ...findings,
      ...(input.mode === 'replace' ? replacedFindings(ownName, inPlace, server.name) : []),
      ...(await deadFindings(server, mark, sourceDatabases(configuration))),
      ...(input.tables && source.checks.length > 0 ? [CHECKS_LEFT_OUT] : []),
    ],
  };
}

const CHECKS_LEFT_OUT: Finding = {
  severity: 'warning',
  type: 'InvalidInput',
  message: "the source's checks are not asked: they are about the whole database, not about some tables",
  advice: 'The tables are held against the backup all the same.',
};

/** Whether the run that made one has died is known only to who has the source's lock. */
async function deadFindings(server: DatabaseAccess, mark: string, spared: readonly string[]): Promise<Finding[]> {
  const { dropped, left } = await findDeadTargets(server, mark, spared);
  return [
    ...dropped.map((name) =>
      warning(
        `database ${name} is unfinished: another restore makes it, or died over it`,
        'If no restore makes it any more, it is dropped before this one begins.',
      ),
    ),
    ...left.map((each) => warning(leftMessage(each), each.advice)),
  ];
}

function replacedBy(inPlace: DatabaseInPlace, dumpedTemplate: boolean, name: string, id: string) {
  const { oid, bytes, sessions, template, subscriptions } = inPlace;
  return {
    name,
    oid,
    bytes,
    sessions,
    keptAs: databaseNameWith(name, 'before', id),
    setAsideAs: databaseNameWith(name, 'undone', id),
    ...((template || dumpedTemplate) && { template: true }),
    ...(subscriptions.length > 0 && { subscriptions }),
  };
}
