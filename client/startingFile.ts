/** The first holdfast.yaml that `holdfast init` writes: valid as it is, and explained for who fills it in. */
export const STARTING_FILE = `# What Holdfast backs up, where to, and with which keys. docs/configuration.md describes every key;
# \`holdfast config check\` finds every mistake, and \`holdfast doctor\` tries it all out.
# A secret never stands here: it is { env: VARIABLE } or { file: PATH }. Relative paths start at this file's folder.

# An index of all backups, in a PostgreSQL database of its own: never in the one that is backed up.
catalog: { url: { env: HOLDFAST_CATALOG_URL } }

# The Temporal server. TEMPORAL_ADDRESS and the others work too.
temporal: { address: 127.0.0.1:7233 }

# Where ciphertext waits for its uploads.
spool: { path: spool, limit: 50GiB }

keys:
  # Seals and opens; the worker needs it to prove what it wrote.
  ops: { type: aes-256, key: { file: keys/ops.key } }
  # Seals only. Its private half, keys/escrow.pem, belongs on a stick in a safe: it opens everything when all else is lost.
  escrow: { type: rsa, publicKey: { file: keys/escrow.pub.pem } }
  # Signs manifests, so that a forged or altered backup is found out.
  sign: { type: ed25519, privateKey: { file: keys/sign.pem } }

backends:
  # A directory, best on a disk of its own. It must exist: a missing mount is never written over.
  local: { type: local, path: backups }
  # Buckets. Take the ones you use, and name them in the plan below.
  # r2: { type: s3, provider: r2, accountId: "0123abcd", bucket: shop-backups, accessKeyId: { env: R2_ID }, secretAccessKey: { env: R2_SECRET } }
  # b2: { type: s3, provider: b2, region: us-east-005, bucket: shop-backups, accessKeyId: { env: B2_ID }, secretAccessKey: { env: B2_SECRET } }
  # aws: { type: s3, provider: aws, region: eu-central-1, bucket: shop-backups, storageClass: STANDARD_IA }
  # minio: { type: s3, provider: generic, endpoint: "https://s3.example.com", region: us-east-1, bucket: shop-backups, accessKeyId: { env: S3_ID }, secretAccessKey: { env: S3_SECRET } }

sources:
  shop:
    # The role reads everything: a member of pg_read_all_data, with BYPASSRLS where tables have row-level security.
    database: { host: localhost, port: 5432, name: shop, user: backup, password: { env: SHOP_DB_PASSWORD } }
    # File trees are backed up beside it.
    # files: { media: { path: /srv/shop/media }, config: { path: /etc/shop } }

plans:
  # Started by \`holdfast backup shop\`. One key of encryptTo is enough to open a backup.
  shop-daily: { source: shop, tier: daily, backends: [local], copies: { required: 1 }, encryptTo: [ops, escrow] }
`;
