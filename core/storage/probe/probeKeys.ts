import { randomBytes } from 'node:crypto';

/** Everything that is written only to see whether it can be. No source can have this name, for no tier follows. */
export const PROBE_PREFIX = 'holdfast-probe/';

/** Where one probe writes; ends with a slash. */
export function newProbePrefix(): string {
  return `${PROBE_PREFIX}${randomBytes(8).toString('hex')}/`;
}

export function isProbeKey(key: string): boolean {
  return key.startsWith(PROBE_PREFIX);
}
