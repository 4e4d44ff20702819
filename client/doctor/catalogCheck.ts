import { withCatalog } from '../../core/catalog/catalog.ts';
import { migrationState } from '../../core/catalog/migrate.ts';
import { catalogUrl } from '../../core/config/open.ts';
import type { Configuration } from '../../core/config/schema.ts';
import { failure, ok, warning, type Check } from './finding.ts';

/** Can the catalog be reached, and is its schema this release's. */
export function catalogCheck(configuration: Configuration): Check {
  return {
    subject: 'catalog',
    run: async () =>
      withCatalog(await catalogUrl(configuration), async (catalog) => {
        const { applied, pending, unknown } = await migrationState(catalog);
        if (unknown.length > 0) {
          const message = `${catalog.place} was migrated by a newer release: ${unknown.join(', ')}`;
          return [failure(message, 'Run that release or a later one.')];
        }
        if (pending.length > 0) {
          const message = `${catalog.place} answers; still to migrate: ${pending.join(', ')}`;
          return [warning(message, 'Start `holdfast worker`, which migrates it.')];
        }
        return [ok(`${catalog.place}, ${applied.length} migration(s) done, none to do`)];
      }),
  };
}
