import { HoldfastError } from '../errors.ts';
import type { SealContext } from './context.ts';

/** The error for a sealed part that is not what was sealed. */
export function damaged(context: SealContext, reason: string, cause?: unknown): HoldfastError {
  return new HoldfastError(
    'ObjectDamaged',
    `Part ${context.part} of backup ${context.backup} (source ${context.source}) is damaged: ${reason}.`,
    { advice: 'Use the copy on another backend.', cause },
  );
}
