import { writeFile } from 'node:fs/promises';
import type { Inventory } from '../../postgres/inventorySchema.ts';
import { explaining } from '../../systemErrors.ts';
import type { ArchiveEntry } from './archiveEntries.ts';
import { resolveTables, selectTables } from './selectTables.ts';

/** Arguments for pg_restore that choose among an archive's entries. */
export interface EntrySelection {
  /** Of the definitions. */
  readonly definitions: readonly string[];
  /** The same in three runs; undefined where there is nothing to run. */
  readonly stages: Record<'schemas' | 'contents' | 'privilegesOnSchemas', readonly string[] | undefined>;
  /** Of the rows, for one run over each part after the other. */
  readonly rows: readonly (readonly string[])[];
  /** Of row-level security, and of what is read under it, after all other definitions: one argument for each further run. */
  readonly secured: readonly string[];
  /** Of definitions that come when everything else is done: one argument for each further run. */
  readonly last: readonly string[];
  readonly warnings: readonly string[];
}

export interface EntriesToSelect {
  readonly inventory: Inventory;
  readonly entries: readonly ArchiveEntry[];
  /** The archive; lists are written beside it. */
  readonly definitions: string;
  readonly tables: readonly string[] | undefined;
}

/**
 * Everything, or single tables. pg_restore with several jobs goes by dependencies alone, and makes too early what then
 * stands in the way of the rest: row-level security, under which a foreign key cannot be checked by an owner who is
 * subject to it, and event triggers that forbid changes of definitions, or logins. Materialized views are filled under
 * row-level security, as they were.
 */
export async function selectEntries(options: EntriesToSelect): Promise<EntrySelection> {
  const { inventory, entries, definitions, tables } = options;
  const selected = tables && selectTables(entries, inventory, resolveTables(inventory, tables));
  const chosen = selected?.entries ?? entries;
  const useList = async (name: string, list: readonly ArchiveEntry[]) => {
    const file = `${definitions}.${name}`;
    const text = list.map(({ id }) => `${id};\n`).join('');
    await explaining({ where: file }, () => writeFile(file, text, { mode: 0o600, flag: 'wx' }));
    return `--use-list=${file}`;
  };
  const last = chosen.filter(isEventTrigger);
  const secured = chosen.some(isRowSecurity) ? chosen.filter((entry) => isRowSecurity(entry) || isFilling(entry)) : [];
  const first = chosen.filter((entry) => !last.includes(entry) && !secured.includes(entry));
  const stage = async (name: string, list: readonly ArchiveEntry[]) =>
    list.length === 0 ? undefined : [await useList(name, list)];
  return {
    definitions: first.length === entries.length ? [] : [await useList('first', first)],
    stages: {
      schemas: await stage('schemas', first.filter(isSchema)),
      contents: await stage(
        'contents',
        first.filter((entry) => !isSchema(entry) && !isPrivilegeOnSchema(entry)),
      ),
      privilegesOnSchemas: await stage('privileges', first.filter(isPrivilegeOnSchema)),
    },
    secured: secured.length === 0 ? [] : [await useList('secured', secured)],
    last: last.length === 0 ? [] : [await useList('last', last)],
    rows: selected?.rows ?? [[]],
    warnings: selected?.warnings ?? [],
  };
}

function isSchema({ kind }: ArchiveEntry): boolean {
  return kind === 'SCHEMA';
}

function isPrivilegeOnSchema({ kind, rest }: ArchiveEntry): boolean {
  return kind === 'ACL' && rest.startsWith('- SCHEMA ');
}

function isEventTrigger({ kind, rest }: ArchiveEntry): boolean {
  return kind === 'EVENT TRIGGER' || (/^(COMMENT|SECURITY LABEL)$/.test(kind) && rest.startsWith('- EVENT TRIGGER '));
}

function isRowSecurity({ kind }: ArchiveEntry): boolean {
  return kind === 'ROW SECURITY';
}

function isFilling({ kind }: ArchiveEntry): boolean {
  return kind === 'MATERIALIZED VIEW DATA';
}
