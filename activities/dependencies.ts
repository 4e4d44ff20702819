import type { Logger } from 'pino';
import type { Catalog } from '../core/catalog/catalog.ts';
import type { Backends, Keys } from '../core/config/open.ts';
import type { Configuration } from '../core/config/schema.ts';
import type { DatabaseAccess } from '../core/postgres/access.ts';
import type { Spool } from '../core/spool/spool.ts';
import type { WorkThread } from '../core/thread/workThread.ts';
import type { ProgressBoard } from './support/progressBoard.ts';

/** What activities work with: built once by the worker and passed in. */
export interface Dependencies {
  readonly configuration: Configuration;
  readonly backends: Backends;
  readonly keys: Keys;
  readonly spool: Spool;
  /** Task queue of the host that holds the spool. */
  readonly spoolQueue: string;
  /** Name of this host, for people. */
  readonly host: string;
  /** The migrated catalog. Rejects with `CatalogUnavailable` while it cannot be reached. */
  readonly catalog: () => Promise<Catalog>;
  /** A source's database with its password, or undefined where it has none. */
  readonly databaseAccess: (source: string) => Promise<DatabaseAccess | undefined>;
  /** Where a backup's bytes are compressed, encrypted, and opened again. */
  readonly work: WorkThread;
  readonly progress: ProgressBoard;
  /** Aborted when the worker is told to stop. */
  readonly stopping: AbortSignal;
  readonly log: Logger;
  readonly holdfastVersion: string;
}
