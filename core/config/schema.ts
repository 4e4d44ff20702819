import { z } from 'zod';
import { localBackend, s3Backend } from './backendSchema.ts';
import { cronExpression, timeZone } from './cron.ts';
import { name, secretReference, someTime } from './schemaParts.ts';
import { source } from './sourceSchema.ts';
import { byteSize, duration, percentage } from './units.ts';
import { BACKUP_KINDS, TIERS } from './words.ts';

/**
 * The shape of holdfast.yaml. Every key's description is its documentation: docs/configuration.md and the editors' JSON
 * Schema are generated from here.
 */

const catalog = z.strictObject({
  url: secretReference.describe(
    'Connection URL of a PostgreSQL database; the schema `holdfast` is created and migrated in it.',
  ),
});

const temporal = z.strictObject({
  address: z
    .string()
    .optional()
    .describe(
      'host:port of the Temporal server. Unset: TEMPORAL_ADDRESS or the active Temporal profile, else 127.0.0.1:7233.',
    ),
  namespace: z
    .string()
    .optional()
    .describe('Temporal namespace. Unset: TEMPORAL_NAMESPACE or the profile, else `default`.'),
  taskQueue: z.string().default('holdfast').describe('Task queue of the workers.'),
  apiKey: secretReference.optional().describe('API key for Temporal Cloud.'),
  uiUrl: z
    .url({ protocol: /^https?$/, error: 'expected an address such as https://temporal.example.com' })
    .optional()
    .describe("Base address of Temporal's Web UI, for links. Unset: guessed for a local server."),
});

const spool = z.strictObject({
  path: z
    .string()
    .min(1)
    .default('/var/lib/holdfast/spool')
    .describe(
      "The worker's staging directory, absolute or from the folder of holdfast.yaml. It holds ciphertext only.",
    ),
  limit: byteSize
    .prefault('50GiB')
    .describe(
      'The most the spool may hold, of all backups together. At the limit a backend that lags far behind is left for healing, so that the dump goes on.',
    ),
  takeoverAfter: duration
    .refine((milliseconds) => milliseconds >= 10_000, 'expected at least 10s: a worker that restarts is not gone')
    .prefault('5m')
    .describe(
      'When no worker serves this spool for so long, its host is taken for gone, and a backup begins again on another.',
    ),
  segmentSize: byteSize
    .refine(
      (bytes) => bytes >= 5 * 2 ** 20 && bytes <= 64 * 2 ** 20,
      'expected between 5MiB (the S3 minimum) and 64MiB',
    )
    .prefault('8MiB')
    .describe('Size of a segment: one file in the spool and one part of a multipart upload.'),
});

const keys = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('aes-256').describe('A symmetric key: who can seal can open.'),
    key: secretReference.describe('32 random bytes, as base64 or hex. Seals and opens.'),
  }),
  z.strictObject({
    type: z.literal('rsa').describe('A key pair: the public half seals, the private half opens.'),
    publicKey: secretReference.describe('PEM public key of at least 3072 bits. Seals.'),
    privateKey: secretReference
      .optional()
      .describe('PEM private key. Opens; leave it out where the worker must not be able to read.'),
  }),
  z.strictObject({
    type: z.literal('kms').describe('A key in AWS KMS.'),
    keyArn: z
      .string()
      .regex(/^arn:/, 'expected a key ARN')
      .describe('ARN of an AWS KMS key. Seals and opens with the ambient AWS credentials.'),
  }),
  z.strictObject({
    type: z.literal('ed25519').describe('A signing key for manifests.'),
    privateKey: secretReference.optional().describe('PEM private key. Signs manifests, and checks them.'),
    publicKey: secretReference
      .optional()
      .describe('PEM public key. Checks manifests; needed only where the private key is not.'),
  }),
]);

const compression = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('zstd').describe('Zstandard.'),
    level: z.int().min(1).max(19).default(1).describe('zstd level.'),
  }),
  z.strictObject({
    type: z.literal('gzip').describe('gzip.'),
    level: z.int().min(1).max(9).default(6).describe('gzip level.'),
  }),
]);

const floors = z.strictObject({
  minimumBytes: byteSize
    .prefault(0)
    .describe('A database part smaller than this, before compression, fails the backup.'),
  maximumShrink: percentage
    .prefault('50%')
    .describe('A database part smaller by more than this than in the last verified backup fails the backup.'),
  allowEmpty: z.boolean().default(false).describe('Accept a database without a single table.'),
});

const uploads = z.strictObject({
  retryFor: duration
    .prefault('1h')
    .describe(
      'How long a backend that fails is tried again before its copy is given up; counted from its first failure since it last made progress.',
    ),
});

const plan = z.strictObject({
  source: name.describe('Name of the source.'),
  kind: z.enum(BACKUP_KINDS).default('full').describe('What of the source to back up.'),
  tier: z.enum(TIERS).default('daily').describe('Cadence the scheduled backups of this plan belong to.'),
  backends: z.array(name).min(1).describe('Where to. Each gets a whole copy.'),
  copies: z
    .strictObject({ required: z.int().min(1).default(1).describe('How many proven copies make the backup usable.') })
    .prefault({})
    .describe('How many of the copies must succeed.'),
  encryptTo: z.array(name).min(1).describe('Keys that can open it: names of aes-256, rsa or kms keys.'),
  compression: compression.prefault({ type: 'zstd' }).describe('How parts are compressed before sealing.'),
  jobs: z
    .int()
    .min(1)
    .max(32)
    .default(1)
    .describe('Dump processes side by side; above 1 the largest tables get parts of their own.'),
  inventory: z
    .enum(['fingerprints', 'counts', 'off'])
    .default('fingerprints')
    .describe('What is recorded about every table inside the snapshot, to reconcile a restore with.'),
  floors: floors.prefault({}).describe('What is too small to be believed.'),
  uploads: uploads.prefault({}).describe('How patient uploads are.'),
  stallTimeout: someTime
    .prefault('15m')
    .describe(
      'A dump that hands out no byte for this long is ended, and so is one that waits this long for room in a full spool.',
    ),
});

const job = z.union([cronExpression, z.literal('off')], {
  error: 'expected a cron expression such as "0 6 * * *", or off',
});

const maintenance = z.strictObject({
  heal: job
    .default('0 6 * * *')
    .describe(
      'When the copies of every source are looked at, and healed where one is missing or damaged: cron, or `off`.',
    ),
  sample: z
    .int()
    .min(0)
    .max(100)
    .default(1)
    .describe('Copies of each source that are read back each time, those first that nobody has read for longest.'),
  healPatience: someTime
    .prefault('7d')
    .describe('How long a heal waits for a storage that is away, or refuses, before it gives up until the next look.'),
  drill: job
    .default('0 6 1 * *')
    .describe('When a random backup of every source is restored into a scratch database and compared: cron, or `off`.'),
  sweep: job.default('30 6 * * *').describe('When what dead runs left is swept: cron, or `off`.'),
  sweepAfter: duration
    .prefault('24h')
    .describe('What a dead run left behind is swept once it is older than this. A run that lives is never swept.'),
  timezone: timeZone.default('UTC').describe('Time zone of these times, e.g. Europe/Berlin.'),
});

export const configurationSchema = z.strictObject({
  catalog: catalog.describe('The index of all backups.'),
  temporal: temporal.prefault({}).describe('The Temporal server.'),
  spool: spool.prefault({}).describe('Where ciphertext waits for its uploads.'),
  keys: z.record(name, keys).describe('Keys by name.'),
  backends: z.record(name, z.discriminatedUnion('type', [localBackend, s3Backend])).describe('Storages by name.'),
  sources: z.record(name, source).describe('Applications by name.'),
  plans: z.record(name, plan).default({}).describe('Plans by name.'),
  maintenance: maintenance
    .prefault({})
    .describe('Jobs that look after what there is. `holdfast schedules apply` puts them into Temporal.'),
});

export type Configuration = z.infer<typeof configurationSchema>;
export type KeyConfiguration = Configuration['keys'][string];
export type BackendConfiguration = Configuration['backends'][string];
export type LocalBackendConfiguration = z.infer<typeof localBackend>;
export type S3BackendConfiguration = z.infer<typeof s3Backend>;
export type SourceConfiguration = Configuration['sources'][string];
export type PlanConfiguration = Configuration['plans'][string];
export type Compression = z.infer<typeof compression>;
export type Floors = z.infer<typeof floors>;
export type InventoryDetail = PlanConfiguration['inventory'];
