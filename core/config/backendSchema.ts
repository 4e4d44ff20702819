import { z } from 'zod';
import { secretReference, someTime } from './schemaParts.ts';
import { byteSize } from './units.ts';

const bandwidth = byteSize
  .refine((bytes) => bytes > 0, 'expected at least 1 byte a second; leave it out for no limit')
  .optional()
  .describe('Most bytes a second to send to it, over all runs of a worker, on average. Unset: as fast as it goes.');

export const localBackend = z.strictObject({
  type: z.literal('local').describe('A directory.'),
  path: z
    .string()
    .min(1)
    .describe(
      'Directory that holds the copies, absolute or from the folder of holdfast.yaml. It must exist: a missing mount is not created over.',
    ),
  bandwidth,
});

export const s3Backend = z.strictObject({
  type: z.literal('s3').describe('A bucket of an S3-compatible service.'),
  provider: z.enum(['aws', 'r2', 'b2', 'generic']).default('generic').describe('Whose rules the service follows.'),
  bucket: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{2,254}$/, 'expected the name of a bucket')
    .describe('Name of the bucket. It must exist.'),
  prefix: z
    .string()
    .regex(
      /^$|^(?!\.{1,2}(\/|$))[^/\\\s]+(\/(?!\.{1,2}(\/|$))[^/\\\s]+)*$/,
      'expected path elements joined by /, without one at the beginning or end',
    )
    .default('')
    .describe('Key prefix inside the bucket.'),
  region: z.string().optional().describe('Region. Needed for aws and b2; `auto` for r2.'),
  endpoint: z
    .url({ protocol: /^https?$/, error: 'expected an address such as https://s3.example.com' })
    .refine((text) => (URL.parse(text)?.username ?? '') === '', {
      error:
        'expected an address without a user name or password; credentials belong into accessKeyId and secretAccessKey',
    })
    .optional()
    .describe('Address of the service. Needed for generic; follows from region or account for the others.'),
  accountId: z.string().optional().describe('Cloudflare account id, for r2.'),
  pathStyle: z
    .boolean()
    .optional()
    .describe('Put the bucket into the path rather than the host name. Default true for generic.'),
  accessKeyId: secretReference.optional().describe('Access key id. Unset: the default AWS credential chain.'),
  secretAccessKey: secretReference.optional().describe('Secret access key.'),
  sessionToken: secretReference.optional().describe('Session token of temporary credentials.'),
  storageClass: z.string().optional().describe('Storage class of new objects, e.g. STANDARD_IA.'),
  serverSideEncryption: z
    .enum(['AES256', 'aws:kms'])
    .optional()
    .describe("Ask the service to encrypt at rest too, on top of Holdfast's own seal."),
  checksum: z
    .enum(['sha256', 'md5', 'none'])
    .optional()
    .describe(
      "Integrity header sent with each body. Unset: what `holdfast storage probe --save` found, else the provider's.",
    ),
  conditionalPut: z
    .enum(['yes', 'no', 'maybe'])
    .optional()
    .describe(
      "Whether the service keeps `If-None-Match` on a put; `maybe` looks before too. Unset: what `holdfast storage probe --save` found, else the provider's.",
    ),
  concurrency: z.int().min(1).max(16).default(2).describe('Segments in flight at once.'),
  requestTimeout: someTime
    .prefault('60s')
    .describe('A request without any progress for this long is given up and tried again.'),
  bandwidth,
});
