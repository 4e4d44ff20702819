import type { InventoryDetail } from '../config/schema.ts';
import type { ClientPrograms } from './clients.ts';

export interface DatabaseDumpOptions {
  /** Dump programs side by side, from 1. */
  readonly jobs: number;
  readonly inventory: InventoryDetail;
  /** Milliseconds without a byte after which a program is ended. */
  readonly stallTimeout: number;
  /** As `inspectDatabase` chose them; unset: the ones on this host that fit the server best. */
  readonly clients?: ClientPrograms;
  /** A private directory for the password file. */
  readonly temporaryDirectory: string;
  /** Ends everything. */
  readonly signal?: AbortSignal;
}
