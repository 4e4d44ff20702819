import type { Command } from 'commander';
import { catalogUrl, loadKeys, openBackends, type Backends } from '../core/config/open.ts';
import type { Configuration } from '../core/config/schema.ts';
import { messageOf } from '../core/errors.ts';
import type { CheckingKey, OpeningKey } from '../core/seal/keys.ts';
import type { Catalog } from '../core/catalog/catalog.ts';
import { loadFor } from './configuration.ts';
import type { Terminal } from './terminal.ts';

/** What the commands that read backups work with. */
export interface Reading {
  readonly configuration: Configuration;
  readonly backends: Backends;
  checkingKeys(): Promise<CheckingKey[]>;
  openingKeys(): Promise<OpeningKey[]>;
  /** Uses the catalog; throws CatalogUnavailable where it cannot be reached. */
  withCatalog<Result>(use: (catalog: Catalog) => Promise<Result>): Promise<Result>;
}

/** Loads the configuration of a command and lets go of everything that was opened when `use` is done. */
export async function withReading<Result>(
  command: Command,
  terminal: Terminal,
  use: (reading: Reading) => Promise<Result>,
): Promise<Result> {
  const { configuration } = await loadFor(command, terminal);
  const backends = openBackends(configuration);
  const keys = loadKeys(configuration);
  const onProblem = (name: string, error: unknown) => terminal.warn(`the key ${name} is left out: ${messageOf(error)}`);
  try {
    return await use({
      configuration,
      backends,
      checkingKeys: () => keys.checking(onProblem),
      openingKeys: () => keys.opening(onProblem),
      withCatalog: async (useCatalog) => {
        const { withCatalog } = await import('../core/catalog/catalog.ts');
        return withCatalog(await catalogUrl(configuration), useCatalog);
      },
    });
  } finally {
    backends.close();
  }
}
