import { z } from 'zod';
import { duration } from './units.ts';

/** What several parts of the configuration are made of. */

export const name = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9_-]{0,62}$/,
    'expected lower-case letters, digits, - and _, starting with a letter or digit, at most 63',
  );

/** A duration where none at all would mean something else than a very short one. */
export const someTime = duration.refine((milliseconds) => milliseconds > 0, 'expected more than no time at all');

/** A secret by reference. A literal is refused before it can spread. */
export const secretReference = z.union(
  [
    z.strictObject({
      env: z
        .string()
        .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'expected the name of an environment variable')
        .describe('Name of the environment variable that holds the value.'),
    }),
    z.strictObject({
      file: z
        .string()
        .min(1)
        .describe('Path of a file that holds the value, absolute or from the folder of holdfast.yaml.'),
    }),
  ],
  {
    error: ({ input }) =>
      typeof input === 'object'
        ? 'expected { env: NAME } or { file: PATH }'
        : 'a secret is never written into the configuration itself; expected { env: NAME } or { file: PATH }',
  },
);

export type SecretReference = z.infer<typeof secretReference>;
