import type { Inventory } from '../../postgres/inventorySchema.ts';

/** Which words are quoted depends on the server: `json` is a keyword from 16 on. */
export function bare(identity: string): string {
  return identity.replaceAll(/"([a-z_][a-z0-9_$]*)"/g, '$1');
}

/** Of the server, e.g. 15. */
export function majorOf({ serverVersion }: Pick<Inventory, 'serverVersion'>): number {
  return Number.parseInt(serverVersion, 10);
}
