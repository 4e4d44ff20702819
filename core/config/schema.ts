import { z } from 'zod';
import { cronExpression, timeZone } from './cron.ts';
import { byteSize, duration, percentage } from './units.ts';
import { BACKUP_KINDS, TIERS } from './words.ts';

/**
 * The shape of holdfast.yaml. Every key's description is its documentation: docs/configuration.md and the editors' JSON
 * Schema are generated from here.
 */

const name = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9_-]{0,62}$/,
    'expected lower-case letters, digits, - and _, starting with a letter or digit, at most 63',
  );

/** A duration where none at all would mean something else than a very short one. */
const someTime = duration.refine((milliseconds) => milliseconds > 0, 'expected more than no time at all');

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

const bandwidth = byteSize
  .refine((bytes) => bytes > 0, 'expected at least 1 byte a second; leave it out for no limit')
  .optional()
  .describe('Most bytes a second to send to it, over all runs of a worker, on average. Unset: as fast as it goes.');

const localBackend = z.strictObject({
  type: z.literal('local').describe('A directory.'),
  path: z
    .string()
    .min(1)
    .describe(
      'Directory that holds the copies, absolute or from the folder of holdfast.yaml. It must exist: a missing mount is not created over.',
    ),
  bandwidth,
});

const s3Backend = z.strictObject({
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

const database = z.strictObject({
  host: z.string().default('localhost').describe('Host name, or the directory of a Unix socket.'),
  port: z.int().min(1).max(65535).default(5432).describe('Port.'),
  name: z.string().min(1).describe('Name of the database.'),
  user: z.string().min(1).describe('Role that reads it.'),
  password: secretReference.optional().describe('Its password. Unset: whatever pg_hba.conf allows without.'),
  sslmode: z
    .enum(['disable', 'prefer', 'require', 'verify-ca', 'verify-full'])
    .default('prefer')
    .describe('TLS towards the server, as in libpq.'),
  sslrootcert: z
    .string()
    .optional()
    .describe(
      'Path of the CA certificate for verify-ca and verify-full, absolute or from the folder of holdfast.yaml.',
    ),
  lockTimeout: someTime
    .prefault('60s')
    .describe('How long to wait for a table lock before giving up and naming the holder.'),
  rolePasswords: z.boolean().default(false).describe('Keep password hashes in the globals part. Needs a superuser.'),
});

const fileTree = z.strictObject({
  path: z.string().startsWith('/', 'expected an absolute path').describe('Root of the tree.'),
  exclude: z
    .array(z.string().min(1))
    .default([])
    .describe('Patterns left out, as in `tar --exclude`, relative to the root; `.holdfast-restoring-*` is, always.'),
  minimumFiles: z
    .int()
    .min(0)
    .default(1)
    .describe('Fewer regular files than this fail the backup: an unmounted tree is empty.'),
  minimumBytes: byteSize.prefault(0).describe('Fewer bytes than this fail the backup.'),
  onUnreadable: z
    .enum(['record', 'fail'])
    .default('record')
    .describe('What an unreadable file does: recorded in the manifest, or fails the backup.'),
  onChanged: z
    .enum(['record', 'fail'])
    .default('record')
    .describe('What a file that changed or vanished while being read does.'),
});

const { name: _name, rolePasswords: _rolePasswords, user, ...serverShape } = database.shape;

const restore = z.strictObject({
  approval: z
    .enum(['required', 'not-needed'])
    .default('not-needed')
    .describe(
      'Whether every restore waits for the Update `approve`. Where it is not needed, a restore that replaces something waits for it too, unless its `confirm` names what is replaced.',
    ),
  timeout: someTime
    .prefault('24h')
    .describe('How long a restore waits to be approved. Then it ends, and nothing was changed.'),
  user: user.optional().describe("Role that creates databases and renames them. Unset: the database's."),
  password: secretReference.optional().describe('Its password.'),
  maintenanceDatabase: z
    .string()
    .min(1)
    .default('postgres')
    .describe('Database to connect to where the one in question may be missing or is being renamed.'),
  jobs: z
    .int()
    .min(1)
    .max(32)
    .default(2)
    .describe('Programs side by side: for the rows of a backup made with jobs, for indexes and statistics.'),
});

const drillUser = user.describe('Role that creates the scratch databases, and drops them.');
const drill = z.strictObject({
  server: z
    .strictObject({ ...serverShape, user: drillUser, maintenanceDatabase: restore.shape.maintenanceDatabase })
    .optional()
    .describe(
      "Server on which drills make their scratch databases. Unset: the source's own, with the role of `restore`.",
    ),
  onSourceServer: z
    .boolean()
    .default(true)
    .describe("Whether drills may use the source's own server where no other one is named."),
  directory: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Directory in which file trees are unpacked for a drill, absolute or from the folder of holdfast.yaml. Unset: next to the spool.',
    ),
});

const check = z.strictObject({
  name: z.string().min(1).max(200).describe('What it is about, for reports.'),
  sql: z.string().min(1).describe('A query. It passes when the first column of its first row is true.'),
});

const source = z
  .strictObject({
    database: database.optional().describe('The PostgreSQL database.'),
    files: z.record(name, fileTree).default({}).describe('File trees by name, e.g. media, logs, config.'),
    environment: z
      .array(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'expected the name of an environment variable'))
      .default([])
      .describe('Environment variables the application needs: names are recorded, never values.'),
    checks: z
      .array(check)
      .default([])
      .describe('Queries that tell whether the application could live on a restored database.'),
    restore: restore.prefault({}).describe('How this source is restored.'),
    drill: drill.prefault({}).describe('Where its backups are tried out.'),
  })
  .refine(
    (value) => value.database !== undefined || Object.keys(value.files).length > 0,
    'expected a database, files, or both',
  );

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

export type SecretReference = z.infer<typeof secretReference>;
export type Configuration = z.infer<typeof configurationSchema>;
export type KeyConfiguration = Configuration['keys'][string];
export type BackendConfiguration = Configuration['backends'][string];
export type LocalBackendConfiguration = z.infer<typeof localBackend>;
export type S3BackendConfiguration = z.infer<typeof s3Backend>;
export type SourceConfiguration = Configuration['sources'][string];
export type DatabaseConfiguration = z.infer<typeof database>;
export type RestoreConfiguration = z.infer<typeof restore>;
export type DrillConfiguration = z.infer<typeof drill>;
export type CheckConfiguration = z.infer<typeof check>;
export type FileTreeConfiguration = z.infer<typeof fileTree>;
export type PlanConfiguration = Configuration['plans'][string];
export type Compression = z.infer<typeof compression>;
export type Floors = z.infer<typeof floors>;
export type InventoryDetail = PlanConfiguration['inventory'];
