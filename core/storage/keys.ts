import { HoldfastError } from '../errors.ts';

/** S3's limit for a key with its prefix, in bytes of UTF-8; filesystems allow longer paths. */
const MAXIMUM_KEY_BYTES = 1024;
/** NAME_MAX of the common filesystems, in bytes of UTF-8. */
const MAXIMUM_ELEMENT_BYTES = 255;
// Control characters cannot stand in S3's XML listings; a backslash is a separator to some tools that read copies.
// eslint-disable-next-line no-control-regex
const FORBIDDEN_CHARACTERS = /[\u0000-\u001f\u007f\\]/;

/**
 * Makes sure that a key means the same object on every kind of storage and cannot leave the backend's root.
 * Throws InvalidInput.
 */
export function checkKey(backend: string, key: string): void {
  const flaw = key === '' ? 'it is empty' : flawOf(key.split('/'), key);
  if (flaw !== undefined) throw unusableKey(backend, 'key', key, flaw);
}

/** The same for the beginning of keys: it may be empty, end with `/`, or stop in the middle of an element. */
export function checkPrefix(backend: string, prefix: string): void {
  const flaw = prefix === '' ? undefined : flawOf(prefix.replace(/\/$/, '').split('/'), prefix);
  if (flaw !== undefined) throw unusableKey(backend, 'prefix', prefix, flaw);
}

/** Ascending order of keys as every listing has it: by their UTF-8 bytes, as S3 sorts them. */
export function compareKeys(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}

function flawOf(elements: readonly string[], whole: string): string | undefined {
  if (whole.startsWith('/')) return 'it is absolute';
  if (!whole.isWellFormed()) return 'it is no well-formed Unicode text';
  if (FORBIDDEN_CHARACTERS.test(whole)) return 'it contains a control character or a backslash';
  if (Buffer.byteLength(whole) > MAXIMUM_KEY_BYTES) return `it is longer than ${MAXIMUM_KEY_BYTES} bytes`;
  if (elements.some((element) => element === '..' || element === '.')) return 'it contains `.` or `..`';
  if (elements.some((element) => element === '')) return 'it contains an empty element';
  if (elements.some((element) => Buffer.byteLength(element) > MAXIMUM_ELEMENT_BYTES)) {
    return `an element is longer than ${MAXIMUM_ELEMENT_BYTES} bytes`;
  }
  return undefined;
}

function unusableKey(backend: string, what: string, key: string, flaw: string): HoldfastError {
  return new HoldfastError(
    'InvalidInput',
    `backend ${backend}: the ${what} ${JSON.stringify(key)} is refused: ${flaw}`,
    {
      advice: 'Keys are relative paths of plain names joined by `/`.',
    },
  );
}
