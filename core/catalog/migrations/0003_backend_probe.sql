-- Up Migration

-- The newest probe of each backend.
CREATE TABLE backend_probe (
  backend text PRIMARY KEY,
  -- Which storage it was: the backend's name may mean another one by now.
  place text NOT NULL,
  at timestamptz NOT NULL,
  state text NOT NULL CHECK (state IN ('equal', 'differs', 'untried')),
  report jsonb NOT NULL
);

-- Down Migration

DROP TABLE backend_probe;
