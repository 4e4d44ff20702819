import { Cron } from 'croner';
import { z } from 'zod';
import { messageOf } from '../errors.ts';

/** Names of months and days, numbers, lists, ranges and steps: what Temporal's schedules understand too. */
const CHARACTERS = /^[0-9A-Za-z*,/ -]+$/;

/** When something is to happen, as five fields: minute, hour, day of month, month, day of week. */
export const cronExpression = z.string().check((context) => {
  const flaw = flawOf(context.value);
  if (flaw === undefined) return;
  context.issues.push({
    code: 'custom',
    input: context.value,
    message: `expected a cron expression such as "0 6 * * *" (minute, hour, day, month, weekday), or off: ${flaw}`,
  });
});

/** A name of the IANA time zone database. */
export const timeZone = z.string().refine(isTimeZone, 'expected the name of a time zone such as UTC or Europe/Berlin');

function flawOf(text: string): string | undefined {
  // Some writers of cron have more: seconds, the last day of a month. Temporal has not.
  if (!CHARACTERS.test(text) || text.trim().split(/ +/).length !== 5) return 'it has not five fields';
  if (/[LW]\b/.test(text.replaceAll(/[A-Z]{3}/gi, ''))) return 'L and W are not known';
  try {
    const next = new Cron(text, { mode: '5-part', paused: true }).nextRun();
    return next === null ? 'it never happens' : undefined;
  } catch (error) {
    return messageOf(error);
  }
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).format() !== '';
  } catch {
    return false;
  }
}
