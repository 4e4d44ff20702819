-- Up Migration

-- Since when somebody is at work on this copy, or waits for its backend: it is not whole yet, and somebody cares.
ALTER TABLE copies ADD COLUMN healing_since timestamptz;

-- A listing shows what is missing or of the wrong size without reading it.
ALTER TABLE verifications DROP CONSTRAINT verifications_depth_check;
ALTER TABLE verifications
  ADD CONSTRAINT verifications_depth_check CHECK (depth IN ('listed', 'stored', 'opened', 'restored'));

-- Down Migration

DELETE FROM verifications WHERE depth = 'listed';
ALTER TABLE verifications DROP CONSTRAINT verifications_depth_check;
ALTER TABLE verifications
  ADD CONSTRAINT verifications_depth_check CHECK (depth IN ('stored', 'opened', 'restored'));
ALTER TABLE copies DROP COLUMN healing_since;
