import { writeFile } from 'node:fs/promises';
import type { Inventory } from '../../postgres/inventorySchema.ts';
import { explaining } from '../../systemErrors.ts';
import type { ArchiveEntry } from './archiveEntries.ts';
import { resolveTables, selectTables } from './selectTables.ts';

/** One run of pg_restore over the archive of the definitions. */
export interface DefinitionsRun {
  readonly args: readonly string[];
  /** Whether it may take several sessions. */
  readonly parallel: boolean;
  /** Whether it makes what owners may need to be let create for a while. */
  readonly creates: boolean;
}

/** The runs of pg_restore, one after the other, that together restore what was chosen. */
export interface EntrySelection {
  readonly beforeRows: readonly DefinitionsRun[];
  /** Arguments that choose among rows, for one run over each part after the other. */
  readonly rows: readonly (readonly string[])[];
  readonly afterRows: readonly DefinitionsRun[];
  /** When everything else is done. */
  readonly last: readonly DefinitionsRun[];
  readonly warnings: readonly string[];
}

export interface EntriesToSelect {
  readonly inventory: Inventory;
  readonly entries: readonly ArchiveEntry[];
  /** The archive; lists are written beside it. */
  readonly definitions: string;
  readonly tables: readonly string[] | undefined;
  /** Roles that whoever restores may become, to give privileges as the owner; unset for a superuser. */
  readonly mayBecome: ReadonlySet<string> | undefined;
}

/**
 * Everything, or single tables. pg_restore with several jobs goes by dependencies alone, and makes too early what then
 * stands in the way of the rest: row-level security, under which a foreign key cannot be checked by an owner who is
 * subject to it, and event triggers that forbid changes of definitions, or logins. Materialized views are filled under
 * row-level security, as they were.
 *
 * For who is no superuser privileges come after all that needs what an owner has by himself and may have been taken from
 * him, and each by its owner: PostgreSQL would choose any grantor that the restoring role is a member of (GRANT, "Notes").
 */
export async function selectEntries(options: EntriesToSelect): Promise<EntrySelection> {
  const { inventory, entries, tables, mayBecome } = options;
  const selected = tables && selectTables(entries, inventory, resolveTables(inventory, tables));
  const chosen = selected?.entries ?? entries;
  const last = chosen.filter(isEventTrigger);
  const secured = mayBecome || chosen.some(isRowSecurity) ? chosen.filter(isSecured) : [];
  const privileges = mayBecome ? chosen.filter(isPrivilege) : [];
  const schemas = mayBecome ? chosen.filter(isOfSchema) : [];
  const apart = new Set([...last, ...secured, ...privileges, ...schemas]);
  const others = chosen.filter((entry) => !apart.has(entry));
  const run = (name: string, list: readonly ArchiveEntry[], how: RunOptions) => runOf(options, name, list, how);
  const grants = (name: string, list: readonly ArchiveEntry[], how: RunOptions) =>
    runsByOwner(options, name, list, how);
  return {
    beforeRows: [...(await run('schemas', schemas, PRE_DATA)), ...(await run('before', others, PRE_DATA))],
    rows: selected?.rows ?? [[]],
    afterRows: [
      ...(await run('after', others, POST_DATA)),
      ...(await grants('privileges', privileges.filter(isBesideSchemas), { args: [], creates: true })),
      // Who may not look into a schema any more can give nothing away in it.
      ...(await grants('on-schemas', privileges.filter(isAboutSchema), { args: [] })),
      ...(await run('secured', secured, POST_DATA)),
    ],
    last: await run('last', last, { args: ['--section=post-data'] }),
    warnings: selected?.warnings ?? [],
  };
}

type RunOptions = Pick<DefinitionsRun, 'args'> & Partial<DefinitionsRun>;

const PRE_DATA: RunOptions = { args: ['--section=pre-data'], creates: true };
const POST_DATA: RunOptions = { args: ['--section=post-data'], creates: true, parallel: true };

/** None where there is nothing to restore. */
async function runOf(
  { entries, definitions }: EntriesToSelect,
  name: string,
  list: readonly ArchiveEntry[],
  { args, ...how }: RunOptions,
): Promise<DefinitionsRun[]> {
  if (list.length === 0) return [];
  const chosen = list.length === entries.length ? [] : [await writeList(`${definitions}.${name}`, list)];
  return [{ parallel: false, creates: false, ...how, args: [...args, ...chosen] }];
}

/**
 * Of privileges, one for each owner that the restoring role may become. Without a section: they are of that of what stands
 * before them in the list, and here nothing does.
 */
async function runsByOwner(
  options: EntriesToSelect,
  name: string,
  list: readonly ArchiveEntry[],
  { args, ...how }: RunOptions,
): Promise<DefinitionsRun[]> {
  const runs: DefinitionsRun[] = [];
  for (const [role, own] of Map.groupBy(list, (entry) => ownerOf(entry, options.mayBecome))) {
    const become = role === undefined ? [] : [`--role=${role}`];
    runs.push(...(await runOf(options, `${name}-${runs.length}`, own, { ...how, args: [...args, ...become] })));
  }
  return runs;
}

async function writeList(file: string, list: readonly ArchiveEntry[]): Promise<string> {
  const text = list.map(({ id }) => `${id};\n`).join('');
  await explaining({ where: file }, () => writeFile(file, text, { mode: 0o600, flag: 'wx' }));
  return `--use-list=${file}`;
}

/** Which of these roles it is whose object this is; undefined where it is none of them. */
function ownerOf({ rest }: ArchiveEntry, roles: ReadonlySet<string> = new Set()): string | undefined {
  return [...roles].filter((role) => rest.endsWith(` ${role}`)).toSorted((a, b) => b.length - a.length)[0];
}

/** A schema, and what is said about it: that is of the section of what stands before it in the list. */
function isOfSchema(entry: ArchiveEntry): boolean {
  return entry.kind === 'SCHEMA' || (/^(COMMENT|SECURITY LABEL)$/.test(entry.kind) && isAboutSchema(entry));
}

function isAboutSchema({ rest }: ArchiveEntry): boolean {
  return rest.startsWith('- SCHEMA ');
}

function isBesideSchemas(entry: ArchiveEntry): boolean {
  return !isAboutSchema(entry);
}

function isPrivilege({ kind }: ArchiveEntry): boolean {
  return /^(DEFAULT )?ACL( |$)/.test(kind);
}

function isEventTrigger({ kind, rest }: ArchiveEntry): boolean {
  return kind === 'EVENT TRIGGER' || (/^(COMMENT|SECURITY LABEL)$/.test(kind) && rest.startsWith('- EVENT TRIGGER '));
}

function isRowSecurity({ kind }: ArchiveEntry): boolean {
  return kind === 'ROW SECURITY';
}

/** Row-level security, and what is read under it. */
function isSecured(entry: ArchiveEntry): boolean {
  return isRowSecurity(entry) || entry.kind === 'MATERIALIZED VIEW DATA';
}
