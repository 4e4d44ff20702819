-- Up Migration

CREATE TABLE backups (
  id text PRIMARY KEY,
  source text NOT NULL,
  kind text NOT NULL,
  tier text NOT NULL,
  plan text,
  state text NOT NULL CHECK (state IN ('verified', 'degraded', 'failed')),
  -- How many proven copies make it usable: decides the state again when a copy is lost or found later.
  required_copies integer NOT NULL CHECK (required_copies >= 1),
  problem_type text,
  problem_message text,
  started_at timestamptz NOT NULL,
  sealed_at timestamptz,
  ended_at timestamptz NOT NULL,
  original_bytes bigint,
  compressed_bytes bigint,
  stored_bytes bigint,
  manifest jsonb,
  -- Of the manifest object's bytes, so that drift between catalog and storage can be seen.
  manifest_sha256 text,
  database jsonb GENERATED ALWAYS AS (manifest -> 'database') STORED,
  workflow_id text,
  run_id text,
  recorded_at timestamptz NOT NULL DEFAULT now(),
  CHECK ((state = 'failed') OR (manifest IS NOT NULL AND manifest_sha256 IS NOT NULL AND sealed_at IS NOT NULL))
);

CREATE INDEX backups_by_source ON backups (source, started_at DESC);
CREATE INDEX backups_by_time ON backups (started_at DESC);

CREATE TABLE copies (
  backup_id text NOT NULL REFERENCES backups (id) ON DELETE CASCADE,
  backend text NOT NULL,
  state text NOT NULL CHECK (state IN ('stored', 'verified', 'damaged', 'missing', 'failed')),
  problem_type text,
  problem_message text,
  bytes bigint,
  uploaded_at timestamptz,
  upload_ms bigint,
  verified_at timestamptz,
  verify_ms bigint,
  PRIMARY KEY (backup_id, backend)
);

CREATE TABLE verifications (
  backup_id text NOT NULL REFERENCES backups (id) ON DELETE CASCADE,
  backend text NOT NULL,
  depth text NOT NULL CHECK (depth IN ('stored', 'opened', 'restored')),
  outcome text NOT NULL CHECK (outcome IN ('passed', 'damaged', 'missing', 'failed')),
  at timestamptz NOT NULL,
  duration_ms bigint NOT NULL,
  message text,
  PRIMARY KEY (backup_id, backend, depth, at)
);

-- Down Migration

DROP TABLE verifications;
DROP TABLE copies;
DROP TABLE backups;
