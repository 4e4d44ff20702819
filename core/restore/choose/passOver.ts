import { HoldfastError, messageOf } from '../../errors.ts';
import type { BackupLocation } from '../../repository/layout.ts';
import type { PassedOver, RestoreCopy } from '../run.ts';

/** A manifest that cannot be trusted. */
export interface Untrusted extends PassedOver {
  readonly location: BackupLocation;
  readonly error: HoldfastError;
}

/** A folder without a manifest. */
export interface Unpublished {
  readonly copy: RestoreCopy;
  readonly location: BackupLocation;
}

/** The message without the storage's name, which stands before it, and ready for a list. */
export function passOver(backend: string, error: unknown): PassedOver {
  const message = messageOf(error)
    .replaceAll(/\s*\n\s*/g, ' ')
    .replace(/\.$/, '');
  const named = [`${backend}: `, `backend ${backend}: `].find((start) => message.startsWith(start)) ?? '';
  return { backend, reason: message.slice(named.length) };
}

/** That there are backups of a source, and none with a manifest to be trusted; `problem` is one of the reasons. */
export function noneTrusted(source: string, untrusted: readonly Untrusted[], problem: Untrusted): HoldfastError {
  const { error, backend, reason } = problem;
  const ids = new Set(untrusted.map(({ location }) => location.backup));
  const others = untrusted.every((each) => each.error.type === error.type) ? '' : ', others for other reasons';
  return new HoldfastError(
    error.type,
    `None of the ${ids.size} backups of source ${source} can be used: ${backend}: ${reason}${others}`,
    { ...(error.advice !== undefined && { advice: error.advice }), cause: error },
  );
}
