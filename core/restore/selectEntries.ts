import { writeFile } from 'node:fs/promises';
import type { Inventory } from '../postgres/inventorySchema.ts';
import { explaining } from '../systemErrors.ts';
import type { ArchiveEntry } from './archiveEntries.ts';
import { resolveTables, selectTables } from './selectTables.ts';

/** Arguments for pg_restore that choose among an archive's entries. */
export interface EntrySelection {
  /** Of the definitions. */
  readonly definitions: readonly string[];
  /** Of the rows, for one run over each part after the other. */
  readonly rows: readonly (readonly string[])[];
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
 * Everything, or single tables. Event triggers come last: pg_restore with several jobs makes them before it fills
 * materialized views, and one that forbids changes of definitions, or logins, would forbid the rest of the restore.
 */
export async function selectEntries(options: EntriesToSelect): Promise<EntrySelection> {
  const { inventory, entries, definitions, tables } = options;
  const useList = async (name: string, chosen: readonly ArchiveEntry[]) => {
    const file = `${definitions}.${name}`;
    const list = chosen.map(({ id }) => `${id};\n`).join('');
    await explaining({ where: file }, () => writeFile(file, list, { mode: 0o600, flag: 'wx' }));
    return `--use-list=${file}`;
  };
  if (tables !== undefined) {
    const selected = selectTables(entries, inventory, resolveTables(inventory, tables));
    return { ...selected, definitions: [await useList('tables', selected.entries)], last: [] };
  }
  const last = entries.filter(isEventTrigger);
  if (last.length === 0) return { definitions: [], rows: [[]], last: [], warnings: [] };
  return {
    definitions: [
      await useList(
        'first',
        entries.filter((entry) => !last.includes(entry)),
      ),
    ],
    rows: [[]],
    last: [await useList('last', last)],
    warnings: [],
  };
}

function isEventTrigger({ kind, rest }: ArchiveEntry): boolean {
  return kind === 'EVENT TRIGGER' || (/^(COMMENT|SECURITY LABEL)$/.test(kind) && rest.startsWith('- EVENT TRIGGER '));
}
