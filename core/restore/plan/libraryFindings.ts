import type pg from 'pg';
import { codeOf, messageOf } from '../../errors.ts';
import type { DatabaseAccess } from '../../postgres/access.ts';
import { splitNameList } from '../../postgres/databaseSettings.ts';
import { cutList, quoteIdentifier, quoteLiteral } from '../../postgres/identifiers.ts';
import type { Inventory } from '../../postgres/inventorySchema.ts';
import type { Finding } from '../../postgres/finding.ts';
import { failure, warning } from './finding.ts';
import { onServer } from '../database/onServer.ts';
import type { RoleOnServer } from './roleOnServer.ts';
import { tryStatement } from './tryStatement.ts';

/** Milliseconds for all libraries of a backup: what was not tried by then is told, and not refused. */
const PATIENCE = 60_000;

/**
 * Shared libraries and providers of security labels that the server lacks. Both are known only by trying: LOAD does what
 * making a function in C does, and a label for an object that does not exist asks for its provider first. In a session of
 * its own, which goes with what was loaded.
 */
export async function libraryFindings(
  server: DatabaseAccess,
  role: RoleOnServer,
  inventory: Inventory,
  signal?: AbortSignal,
): Promise<Finding[]> {
  const { libraries = [], labelProviders = [] } = inventory.needs ?? {};
  if (libraries.length === 0 && labelProviders.length === 0) return [];
  const trial = startTrial();
  try {
    return await onServer(server, signal, async (client) => {
      // What the server says is read below.
      if (role.superuser) await client.query(`set lc_messages = 'C'`);
      // The session may have been told to load some already; others come while the restore goes on.
      const missing = await providersMissing(client, labelProviders);
      const findings = [];
      for (const each of libraries) findings.push(...libraryFinding(each, await trial.load(client, each.library)));
      if (libraries.length > 0 && !role.superuser) findings.push(creationWarning(libraries));
      return [...findings, ...(await labelFindings(client, role, inventory, missing, trial))];
    });
  } catch (error) {
    signal?.throwIfAborted();
    if (trial.loading === undefined) throw error;
    return [
      warning(
        `the server ended the session that loaded library ${trial.loading}: ${messageOf(error)}`,
        'Look into the log of the server whether it can be loaded there; libraries and labels after it were not looked at.',
      ),
    ];
  }
}

/** How a library's loading went: `undefined` is well. */
type Loaded = Error | 'not tried' | undefined;

interface Trial {
  /** The library that is being loaded now. */
  loading: string | undefined;
  load(client: pg.Client, library: string): Promise<Loaded>;
}

function startTrial(): Trial {
  const end = performance.now() + PATIENCE;
  const known = new Map<string, Loaded>();
  const trial: Trial = {
    loading: undefined,
    load: async (client, library) => {
      if (known.has(library)) return known.get(library);
      if (performance.now() > end) return 'not tried';
      trial.loading = library;
      const loaded = await tryStatement(client, `load ${quoteLiteral(library)}`);
      trial.loading = undefined;
      known.set(library, loaded);
      return loaded;
    },
  };
  return trial;
}

type Library = NonNullable<Inventory['needs']>['libraries'][number];

/** Only what cannot be otherwise in the new database is a failure: a library's own refusal may be of this session. */
function libraryFinding({ library, functions }: Library, loaded: Loaded): Finding[] {
  if (loaded === undefined || (loaded !== 'not tried' && isDenied(loaded))) return [];
  const what = `library ${library}, which ${cutList(functions, functions.length, 3)} needs,`;
  const advice = 'Install it there, built for that version of PostgreSQL, by its package or by hand.';
  if (loaded === 'not tried')
    return [warning(`${what} was not looked for: too many took too long`, 'Look that the server has it.')];
  const said = messageOf(loaded);
  if (codeOf(loaded) === '58P01' || said.startsWith('incompatible library '))
    return [failure(`${what} cannot be loaded on the server: ${said}`, advice)];
  return [warning(`${what} could not be loaded here: ${said}`, `If the restore says so too: ${advice}`)];
}

/** Only a superuser may load and create them; services that let others do so have ways of their own, so it is no refusal. */
function creationWarning(libraries: readonly Library[]): Finding {
  const functions = libraries.flatMap((each) => each.functions);
  return warning(
    `on most servers only a superuser can create functions in C (${cutList(functions, functions.length, 3)}) and see whether their libraries are there`,
    `Restore as a superuser, on a server that has ${cutList(libraries.map(({ library }) => library))}.`,
  );
}

async function labelFindings(
  client: pg.Client,
  role: RoleOnServer,
  inventory: Inventory,
  missing: readonly string[],
  trial: Trial,
): Promise<Finding[]> {
  if (missing.length === 0) return [];
  let uncertain = false;
  for (const library of librariesOfRestore(inventory, role.name)) {
    const loaded = await trial.load(client, library);
    uncertain ||= loaded === 'not tried' || (loaded !== undefined && codeOf(loaded) !== '58P01');
  }
  return (await providersMissing(client, missing)).map((provider) => {
    const message = `security labels are of provider ${quoteIdentifier(provider)}, which is not loaded on the server`;
    const advice = `Install its library there, and let every session load it, or those of the role that restores: ALTER ROLE ${quoteIdentifier(role.name)} SET session_preload_libraries = '...';`;
    return uncertain
      ? warning(`${message}, and may come with a library that could not be loaded here`, advice)
      : failure(message, advice);
  });
}

/** What the sessions of a restore load beside what this one did: by settings of the database, and with functions and extensions. */
function librariesOfRestore({ database, needs }: Inventory, role: string): Set<string> {
  const settings = database.settings.filter((setting) => setting.role === null || setting.role === role);
  const preloaded = settings.flatMap(({ name, value }) => {
    if (name === 'session_preload_libraries') return splitNameList(value);
    // Plain names of these are looked for in a directory of their own (load_libraries).
    if (name !== 'local_preload_libraries') return [];
    return splitNameList(value).map((each) => (each.includes('/') ? each : `$libdir/plugins/${each}`));
  });
  return new Set([
    ...preloaded,
    ...(needs?.libraries ?? []).map(({ library }) => library),
    ...(needs?.extensionLibraries ?? []),
  ]);
}

async function providersMissing(client: pg.Client, providers: readonly string[]): Promise<string[]> {
  const missing: string[] = [];
  for (const provider of providers) {
    const error = await tryStatement(
      client,
      `security label for ${quoteIdentifier(provider)} on table pg_catalog.holdfast_nothing is null`,
    );
    // One that is there says that the table is not.
    if (codeOf(error) === '22023') missing.push(provider);
  }
  return missing;
}

function isDenied(error: Error): boolean {
  return codeOf(error) === '42501';
}
