import type { Backends, Keys } from '../../config/open.ts';
import type { Configuration } from '../../config/schema.ts';
import { unknownName } from '../../config/open.ts';
import { HoldfastError } from '../../errors.ts';
import { chooseBackup } from './chooseBackup.ts';
import type { BackupToRestore } from '../flow.ts';
import type { ChosenBackup, RestoreCopy } from '../run.ts';

interface Storages {
  readonly configuration: Pick<Configuration, 'backends'>;
  readonly backends: Pick<Backends, 'get'>;
}

/**
 * The storages to read from: the named ones in their order, or all that are configured, those first that cost no network.
 * Throws InvalidInput for an unknown name.
 */
export function copiesOf({ configuration, backends }: Storages, names?: readonly string[]): RestoreCopy[] {
  const known = Object.keys(configuration.backends);
  for (const name of names ?? []) if (!known.includes(name)) throw unknownName('backend', name, known);
  const isRemote = (name: string) => Number(configuration.backends[name]?.type !== 'local');
  const order = names ?? known.toSorted((a, b) => isRemote(a) - isRemote(b));
  return [...new Set(order)].map((name) => ({ backend: name, open: () => backends.get(name) }));
}

/**
 * The backup that a restore was planned with, in a later step. Throws RefusedForSafety when its manifest is another one
 * now, and what `chooseBackup` throws.
 */
export async function openBackup(
  storages: Storages & { readonly keys: Keys },
  { source, backup, copies }: BackupToRestore,
  signal?: AbortSignal,
): Promise<ChosenBackup> {
  const chosen = await chooseBackup({
    wish: { source, backup: backup.id },
    copies: copiesOf(storages, copies),
    checkingKeys: await storages.keys.checking(),
    signal,
  });
  if (chosen.manifestSha256 === backup.manifestSha256) return chosen;
  throw new HoldfastError('RefusedForSafety', `The manifest of backup ${backup.id} is not the one of the plan`, {
    advice: 'Somebody exchanged it. Verify the backup, and start the restore again.',
  });
}
