import { includesDatabase } from '../backup/scope.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { usualRecovery } from '../catalog/restores.ts';
import { restoreServer, sourceNamed, type Backends, type Keys } from '../config/open.ts';
import type { Configuration, SourceConfiguration } from '../config/schema.ts';
import { HoldfastError, isHoldfastError } from '../errors.ts';
import { findClientPrograms } from '../postgres/clients.ts';
import type { Finding } from '../postgres/preflight.ts';
import type { PlannedApproval, PlannedDatabase, PlanRequest, RestoreInput, RestorePlan } from './flow.ts';
import { databaseNameWith, restoreMark } from './names.ts';
import { chooseBackup } from './chooseBackup.ts';
import { copiesOf } from './openBackup.ts';
import { preflightTarget } from './preflightTarget.ts';
import { readDescription } from './readDescription.ts';
import { lookAtReplaced, replacedFindings, type DatabaseInPlace } from './replaced.ts';
import { chooseRestorePrograms } from './restorePrograms.ts';
import type { ChosenBackup, RestoreScope } from './run.ts';
import { resolveTables } from './selectTables.ts';

export interface PlanRestoreOptions {
  readonly request: PlanRequest;
  readonly configuration: Configuration;
  readonly backends: Pick<Backends, 'get'>;
  readonly keys: Keys;
  readonly catalog: () => Promise<Catalog>;
  /** Names of the environment variables that there are. */
  readonly environment: readonly string[];
  readonly signal?: AbortSignal | undefined;
}

/** Findings of a server with thousands of odd objects must not fill a history. */
const MOST_FINDINGS = 50;
const MOST_ROLES = 200;

/**
 * Looks what a restore would do and what could keep it from succeeding. Changes nothing. Throws InvalidInput for what
 * makes no sense, and what choosing and reading a backup and connecting to a server throw; everything else is a finding.
 */
export async function planRestore(options: PlanRestoreOptions): Promise<RestorePlan> {
  const { request, configuration, keys, signal } = options;
  const { id, input } = request;
  const source = sourceNamed(configuration, input.source);
  requireSense(source, input);
  const chosen = await chooseBackup({
    wish: { source: input.source, backup: input.backup, before: input.before, part: 'database' },
    copies: copiesOf(options, input.backends),
    checkingKeys: await keys.checking(),
    signal,
  });
  requireSameBackup(request, chosen);
  const { manifest } = chosen;
  const planned = await planDatabase(options, source, chosen);
  const replaces = planned.database.replaces?.name;
  const safety = replaces === undefined ? undefined : safetyBackup(configuration, input);
  const expectedDuration = await expectation(options);
  return {
    id,
    source: input.source,
    mode: input.mode ?? 'new',
    backup: {
      id: manifest.id,
      tier: manifest.tier,
      kind: manifest.kind,
      startedAt: manifest.startedAt,
      sealedAt: manifest.sealedAt,
      manifestSha256: chosen.manifestSha256,
    },
    copies: chosen.copies.map(({ backend }) => backend),
    passedOver: chosen.passedOver,
    database: planned.database,
    missingEnvironment: manifest.environment.filter((name) => !options.environment.includes(name)),
    findings: failuresFirst([...planned.findings, ...(safety?.findings ?? [])]).slice(0, MOST_FINDINGS),
    ...(expectedDuration !== undefined && { expectedDuration }),
    approval: approvalOf(source, input, replaces),
    ...(safety?.plan && { safetyBackup: safety.plan }),
  };
}

/** What a look at the input and the configuration alone can tell. */
function requireSense(
  { database }: SourceConfiguration,
  { source, mode = 'new', target, confirm }: RestoreInput,
): void {
  if (!database)
    throw new HoldfastError('InvalidInput', `Source ${source} has no database`, {
      advice: `Name one under sources.${source}.database.`,
    });
  const { name } = database;
  if (mode === 'new') {
    if (confirm !== undefined && confirm !== target)
      throw new HoldfastError('InvalidInput', `confirm names ${confirm}, and mode new replaces nothing`, {
        advice: `Leave it out, or, to replace database ${name}, set mode to replace.`,
      });
    return;
  }
  if (target !== undefined && target !== name)
    throw new HoldfastError('InvalidInput', `Mode replace puts the backup in the place of ${name}, not of ${target}`, {
      advice: `Leave target out, or set mode to new to restore into a new database ${target}.`,
    });
  if (confirm !== undefined && confirm !== name)
    throw new HoldfastError('InvalidInput', `confirm names ${confirm}, but what is replaced is database ${name}`, {
      advice: `Look twice. If ${name} is meant: confirm set to "${name}".`,
    });
}

/** What was approved is what is restored. */
function requireSameBackup({ manifestSha256 }: PlanRequest, { manifest, manifestSha256: found }: ChosenBackup): void {
  if (manifestSha256 === undefined || manifestSha256 === found) return;
  throw new HoldfastError('RefusedForSafety', `The manifest of backup ${manifest.id} is not the one of the plan`, {
    advice: 'Somebody exchanged it. Verify the backup, and start the restore again.',
  });
}

async function planDatabase(
  { request: { id, input }, configuration, keys, signal }: PlanRestoreOptions,
  source: SourceConfiguration,
  { manifest, copies }: ChosenBackup,
): Promise<{ database: PlannedDatabase; findings: Finding[] }> {
  const server = await restoreServer(configuration, input.source);
  const description = await readDescription(copies, manifest, await keys.opening(), signal);
  const scope: RestoreScope = { noOwner: input.noOwner, noPrivileges: input.noPrivileges, tables: input.tables };
  if (scope.tables) resolveTables(description.inventory, scope.tables);
  const ownName = source.database?.name ?? '';
  const inPlace = input.mode === 'replace' ? await lookAtReplaced(server, ownName, signal) : undefined;
  const target =
    input.mode === 'replace'
      ? inPlace
        ? databaseNameWith(ownName, 'restoring', id)
        : ownName
      : (input.target ?? databaseNameWith(ownName, 'restored', id));
  const inspection = await preflightTarget({
    manifest,
    description,
    server,
    target,
    mark: restoreMark(configuration.temporal.taskQueue, input.source, id),
    clients: chooseRestorePrograms(await findClientPrograms(), manifest.database?.clientVersion ?? ''),
    createRoles: input.createRoles,
    ...(inPlace && { replaces: ownName }),
    ...scope,
    signal,
  });
  const { findings, createRoles, ...facts } = inspection;
  return {
    database: {
      server: `${server.host}:${server.port}`,
      target,
      name: inPlace ? ownName : target,
      ...(inPlace && { replaces: replacedBy(inPlace, ownName, id) }),
      bytes: manifest.database?.bytes ?? 0,
      ...facts,
      createRoles: createRoles.slice(0, MOST_ROLES),
      scope,
      jobs: input.jobs ?? source.restore.jobs,
      mark: restoreMark(configuration.temporal.taskQueue, input.source, id),
    },
    findings: [...findings, ...(input.mode === 'replace' ? replacedFindings(ownName, inPlace) : [])],
  };
}

function replacedBy({ bytes, sessions }: DatabaseInPlace, name: string, id: string) {
  return { name, bytes, sessions, keptAs: databaseNameWith(name, 'before', id) };
}

/** A plan that backs the database up: of several the first that holds it anyway. */
function safetyBackup(
  { plans }: Configuration,
  { source, safetyBackup: wish = 'required' }: RestoreInput,
): { plan?: RestorePlan['safetyBackup']; findings: Finding[] } {
  if (wish === 'skip')
    return { findings: [warning('what is replaced is not backed up before', 'It is kept, as it is.')] };
  const own = Object.entries(plans).filter(([, plan]) => plan.source === source);
  const [plan] = own.find(([, { kind }]) => includesDatabase(kind)) ?? own[0] ?? [];
  if (plan !== undefined) return { plan: { plan, kind: 'database' }, findings: [] };
  return {
    findings: [
      {
        severity: 'failure',
        type: 'RefusedForSafety',
        message: `${source} has no plan to back up what is replaced`,
        advice: 'Add one under plans in holdfast.yaml, or do without it: safetyBackup set to skip.',
      },
    ],
  };
}

function approvalOf({ restore }: SourceConfiguration, input: RestoreInput, replaces?: string): PlannedApproval {
  const { timeout } = restore;
  if (restore.approval === 'required')
    return { needed: true, why: `Every restore of ${input.source} has to be approved.`, timeout };
  if (replaces === undefined) return { needed: false, why: 'Nothing is replaced.', timeout };
  return input.confirm === replaces
    ? { needed: false, why: `It was confirmed that ${replaces} is replaced.`, timeout }
    : { needed: true, why: `It replaces database ${replaces}, and confirm does not name it.`, timeout };
}

/** A restore must go well without the catalog. */
async function expectation({ request: { input }, catalog }: PlanRestoreOptions): Promise<number | undefined> {
  if (input.tables) return undefined;
  try {
    return await usualRecovery(await catalog(), input.source, ['database']);
  } catch (error) {
    if (isHoldfastError(error, 'CatalogUnavailable')) return undefined;
    throw error;
  }
}

function failuresFirst(findings: readonly Finding[]): Finding[] {
  return findings.toSorted((a, b) => Number(a.severity === 'warning') - Number(b.severity === 'warning'));
}

function warning(message: string, advice: string): Finding {
  return { severity: 'warning', type: 'RefusedForSafety', message, advice };
}
