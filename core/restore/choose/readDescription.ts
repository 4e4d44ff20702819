import { HoldfastError } from '../../errors.ts';
import { inventorySchema, type Inventory } from '../../postgres/inventorySchema.ts';
import { collect } from '../../repository/asyncItems.ts';
import type { Manifest } from '../../repository/manifest.ts';
import { partNamed, readPart } from '../../repository/readPart.ts';
import type { OpeningKey } from '../../seal/keys.ts';
import type { Backend } from '../../storage/backend.ts';
import { fromGoodCopy } from './fromGoodCopy.ts';
import type { DatabaseDescription, RestoreCopy } from '../run.ts';

/**
 * The parts `inventory` and `globals` of the first copy that is good. Throws InvalidInput where the backup has no
 * database; KeyMissing; ObjectMissing, ObjectDamaged, BackendUnreachable, BackendRefused where no copy has them.
 */
export async function readDescription(
  copies: readonly RestoreCopy[],
  manifest: Manifest,
  openingKeys: readonly OpeningKey[],
  signal?: AbortSignal,
): Promise<DatabaseDescription> {
  const read = (backend: Backend) => describeCopy(backend, manifest, openingKeys, signal);
  const { result, passedOver } = await fromGoodCopy(copies, read, signal);
  return { ...result, passedOver };
}

/** The same from one copy. */
export async function describeCopy(
  backend: Backend,
  manifest: Manifest,
  openingKeys: readonly OpeningKey[],
  signal?: AbortSignal,
): Promise<Omit<DatabaseDescription, 'passedOver'>> {
  const text = async (part: string) => {
    const chunks = await collect(readPart(backend, manifest, partNamed(manifest, part), openingKeys, signal));
    return Buffer.concat(chunks as Buffer[]).toString('utf8');
  };
  return { inventory: parseInventory(manifest, await text('inventory')), globals: await text('globals') };
}

function parseInventory(manifest: Manifest, text: string): Inventory {
  const parsed = inventorySchema.safeParse(JSON.parse(text));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new HoldfastError(
    'RestoreFailed',
    `The inventory of backup ${manifest.id} cannot be read: ${issue?.path.join('.')}: ${issue?.message}`,
    { advice: `It was written by Holdfast ${manifest.holdfastVersion}: restore with that release or a later one.` },
  );
}
