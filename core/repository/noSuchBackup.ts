import { distance } from 'fastest-levenshtein';
import { HoldfastError } from '../errors.ts';

/** For an id or prefix that matches none, or several, of the `known` ids: names the nearest. */
export function noSuchBackup(idOrPrefix: string, known: readonly string[]): HoldfastError {
  const several = idOrPrefix !== '' && known.filter((id) => id.startsWith(idOrPrefix)).length > 1;
  const nearest = known.toSorted((a, b) => distance(idOrPrefix, a) - distance(idOrPrefix, b)).slice(0, OFFERED_IDS);
  return new HoldfastError(
    'InvalidInput',
    several ? `More than one backup begins with ${idOrPrefix}` : `There is no backup ${idOrPrefix}`,
    {
      advice: nearest.length === 0 ? 'There is no backup at all yet.' : `Did you mean one of: ${nearest.join(', ')}?`,
    },
  );
}

/** How many ids are worth reading in an error. */
export const OFFERED_IDS = 5;
