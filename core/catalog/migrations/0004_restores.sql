-- Up Migration

-- Every restore and every drill. Without a reference to the backup: how long recovery took is worth knowing after it went.
CREATE TABLE restores (
  workflow_id text NOT NULL,
  run_id text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('restore', 'drill')),
  -- Of a restore: new, replace, files, ...
  mode text,
  source text NOT NULL,
  -- What was chosen, as far as the run came.
  backup_id text,
  backend text,
  parts text[] NOT NULL DEFAULT '{}',
  -- Only some tables or files: says nothing about how long the whole takes.
  partial boolean NOT NULL DEFAULT false,
  target text,
  outcome text NOT NULL CHECK (outcome IN ('succeeded', 'failed', 'refused', 'aborted')),
  problem_type text,
  problem_message text,
  started_at timestamptz NOT NULL,
  ended_at timestamptz NOT NULL,
  -- The time to recover: without waiting for approval, the safety backup and what only a drill does.
  recovery_ms bigint,
  phases jsonb NOT NULL DEFAULT '{}',
  bytes bigint,
  difference_count integer,
  PRIMARY KEY (workflow_id, run_id)
);

CREATE INDEX restores_by_source ON restores (source, started_at DESC);
CREATE INDEX restores_by_backup ON restores (backup_id, started_at DESC);

-- Down Migration

DROP TABLE restores;
