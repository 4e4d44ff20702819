import { closest, distance } from 'fastest-levenshtein';

/** The candidate a misspelt word was probably meant to be, or undefined when none is near. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const lower = word.toLowerCase();
  const beginning = candidates.find((candidate) => lower.length > 1 && candidate.toLowerCase().startsWith(lower));
  if (beginning !== undefined || candidates.length === 0) return beginning;
  const best = closest(lower, candidates);
  return distance(lower, best.toLowerCase()) <= Math.max(1, Math.floor(word.length / 3)) ? best : undefined;
}

/** `; did you mean x?`, or nothing. */
export function didYouMean(word: string, candidates: readonly string[]): string {
  const meant = nearest(word, candidates);
  return meant === undefined ? '' : `; did you mean ${meant}?`;
}
