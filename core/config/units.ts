import { z } from 'zod';

const SIZE_UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};
const DURATION_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A size such as `64MiB` (1024-based), `64MB` (1000-based) or a plain number of bytes; becomes bytes. */
export const byteSize = quantity('size', SIZE_UNITS, 'expected a size such as 64MiB, 10GB or a number of bytes');

/** A duration such as `36h`, `30d`, `90s`; becomes milliseconds. */
export const duration = quantity('duration', DURATION_UNITS, 'expected a duration such as 30s, 15m, 36h or 30d', {
  unitRequired: true,
});

/** A share such as `50%`; becomes a number from 0 to 100. */
export const percentage = z
  .union([z.number(), z.string().regex(/^\d+(\.\d+)?%$/)], { error: 'expected a percentage such as 50%' })
  .meta({ quantity: 'percentage' })
  .transform((value) => (typeof value === 'number' ? value : Number.parseFloat(value)))
  .refine((value) => value >= 0 && value <= 100, 'expected between 0% and 100%');

function quantity(
  name: string,
  units: Readonly<Record<string, number>>,
  expectation: string,
  options = { unitRequired: false },
) {
  return z
    .union([z.string(), z.number()], { error: expectation })
    .meta({ quantity: name })
    .transform((value, context) => {
      const parsed = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(String(value));
      const unit = parsed?.[2] === '' && !options.unitRequired ? 1 : units[parsed?.[2] ?? ''];
      const result = parsed && unit !== undefined ? Math.round(Number(parsed[1]) * unit) : Number.NaN;
      if (!Number.isSafeInteger(result)) {
        context.issues.push({ code: 'custom', message: expectation, input: value });
        return z.NEVER;
      }
      return result;
    });
}
