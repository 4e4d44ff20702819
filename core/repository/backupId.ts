import { HoldfastError } from '../errors.ts';

const ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyz';
const RANDOM_CHARACTERS = 6;
const PATTERN = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z-[0-9a-z]{6}$/;

/**
 * The id of a new backup, e.g. `20261120T020000Z-7f3k9q`: UTC time to the second, so that ids sort by time, and six
 * characters from `random`, which gives numbers from 0 inclusive to 1 exclusive, so that two in one second differ.
 */
export function backupId(now: Date, random: () => number): string {
  const time = now
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replaceAll(/[-:]/g, '');
  const characters = Array.from(
    { length: RANDOM_CHARACTERS },
    () => ALPHABET[Math.floor(random() * ALPHABET.length)] ?? '0',
  );
  return `${time}-${characters.join('')}`;
}

export function isBackupId(text: string): boolean {
  return timeOf(text) !== undefined;
}

/**
 * The time within a backup id. For sorting and showing ids only: what decides anything reads times from the manifest.
 * Throws InvalidInput for what is no backup id.
 */
export function parseBackupId(text: string): { readonly time: Date } {
  const time = timeOf(text);
  if (time === undefined) {
    throw new HoldfastError('InvalidInput', `${JSON.stringify(text)} is no backup id.`, {
      advice: 'A backup id looks like 20261120T020000Z-7f3k9q; `holdfast list` shows them.',
    });
  }
  return { time };
}

function timeOf(text: string): Date | undefined {
  const match = PATTERN.exec(text);
  if (!match) return undefined;
  const [, year, month, day, hour, minute, second] = match;
  const iso = `${year}-${month}-${day}T${hour}:${minute}:${second}.000Z`;
  const time = new Date(iso);
  // The Date constructor turns 30 February into March; such an id was never made.
  return !Number.isNaN(time.getTime()) && time.toISOString() === iso ? time : undefined;
}
