import type pg from 'pg';
import type { InventoryDetail } from '../config/schema.ts';
import type { DatabaseAccess } from './access.ts';
import type { ServerFacts } from './server.ts';

export interface InventoryJob {
  readonly access: DatabaseAccess;
  readonly detail: InventoryDetail;
  /** Whether it stands beside a dump: what this role's pg_dump leaves out is then no object, but named as not carried. */
  readonly besideDump?: boolean;
  readonly server: ServerFacts;
  /**
   * The snapshot's own session: it holds every lock already, where another session would queue behind whoever waits
   * for one.
   */
  readonly client: pg.Client;
}
