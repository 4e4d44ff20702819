import { distance } from 'fastest-levenshtein';
import { HoldfastError } from '../errors.ts';

/** For an id or prefix that matches none, or several, of the `known` ids: names the nearest. */
export function noSuchBackup(idOrPrefix: string, known: readonly string[]): HoldfastError {
  if (idOrPrefix === 'latest') return latestMeansNone(known);
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

/** Restores look for the newest that has all that is wanted; whoever takes one thing out of a backup says which backup. */
function latestMeansNone(known: readonly string[]): HoldfastError {
  const newest = [...new Set(known)].toSorted().toReversed().slice(0, OFFERED_IDS);
  return new HoldfastError('InvalidInput', 'Only restores take `latest`: a backup is named by its id here', {
    advice: newest.length === 0 ? 'There is no backup at all yet.' : `The newest are: ${newest.join(', ')}.`,
  });
}

/** How many ids are worth reading in an error. */
export const OFFERED_IDS = 5;
