import { HoldfastError, isHoldfastError } from '../../errors.ts';
import { explained } from '../../systemErrors.ts';

/**
 * An error of work by handles as one that speaks of names: a handle's path says nothing to who reads it, and leads elsewhere
 * soon. What the system refused becomes RestoreFailed. `where`: what was worked in, for an error that names nothing.
 */
export function toldByName(
  error: unknown,
  where: string,
  names: readonly (readonly [handle: string, name: string])[],
): unknown {
  const told = explained(error, { where, type: 'RestoreFailed' });
  if (!isHoldfastError(told)) return told;
  const { message, type, advice, retryable, retryAfter, cause } = told;
  const byName = (text: string) => names.reduce((before, [handle, name]) => replaceHandle(before, handle, name), text);
  if ([message, advice ?? ''].every((text) => byName(text) === text)) return told;
  return new HoldfastError(type, byName(message), {
    ...(advice !== undefined && { advice: byName(advice) }),
    retryable,
    retryAfter,
    cause,
  });
}

/** Handles end with a number: that of 2 is no part of that of 23. Where there are none a handle is the name itself. */
function replaceHandle(text: string, handle: string, name: string): string {
  return handle === name ? text : text.replaceAll(new RegExp(String.raw`${handle}(?!\d)`, 'g'), name);
}
