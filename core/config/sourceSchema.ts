import { z } from 'zod';
import { name, secretReference, someTime } from './schemaParts.ts';
import { byteSize } from './units.ts';

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

export const source = z
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

export type DatabaseConfiguration = z.infer<typeof database>;
export type DrillConfiguration = z.infer<typeof drill>;
export type CheckConfiguration = z.infer<typeof check>;
export type FileTreeConfiguration = z.infer<typeof fileTree>;
