import { messageOf, type HoldfastError } from '../errors.ts';
import type { BackupLocation } from '../repository/layout.ts';
import type { PassedOver, RestoreCopy } from './run.ts';

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
  const message = messageOf(error).replace(/\.$/, '');
  const named = [`${backend}: `, `backend ${backend}: `].find((start) => message.startsWith(start)) ?? '';
  return { backend, reason: message.slice(named.length) };
}
