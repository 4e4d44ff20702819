import type { ErrorType } from '../../errors.ts';
import type { Finding } from '../../postgres/finding.ts';

/** What keeps a restore from being begun. */
export function failure(message: string, advice: string, type: ErrorType = 'RefusedForSafety'): Finding {
  return { severity: 'failure', type, message, advice };
}

/** What to know before it. */
export function warning(message: string, advice: string): Finding {
  return { severity: 'warning', type: 'RestoreFailed', message, advice };
}
