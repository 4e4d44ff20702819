import { createHash } from 'node:crypto';

/**
 * One of several by chance, each as likely as any other. The same seed draws the same of the same names, in whatever order
 * they come: a step that is tried again does not change its mind. Undefined of none.
 */
export function draw(names: Iterable<string>, seed: number): string | undefined {
  const lots = [...names].map((name) => ({ name, lot: createHash('sha256').update(`${seed} ${name}`).digest('hex') }));
  return lots.toSorted((a, b) => (a.lot < b.lot ? -1 : 1))[0]?.name;
}
