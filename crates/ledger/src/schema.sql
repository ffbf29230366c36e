-- Version 1. Money is two integers: whole micro-dollars (rounded down) and the pico-dollars left over.
-- Times are microseconds since the epoch, UTC. An unknown cost is NULL, never 0. Ids are ULIDs, 16 bytes.

CREATE TABLE request (
  no INTEGER PRIMARY KEY,              -- order of arrival in the store
  id BLOB NOT NULL UNIQUE,
  client_request_id TEXT,
  started_us INTEGER NOT NULL,
  duration_us INTEGER,                 -- NULL: a crash left it open
  ttft_us INTEGER,
  key TEXT,                            -- NULL: keyless
  route TEXT,                          -- NULL: pinned
  requested_model TEXT NOT NULL,
  op TEXT NOT NULL,
  stream INTEGER NOT NULL,
  tags TEXT,                           -- a JSON object; NULL: none
  session INTEGER NOT NULL,
  config_version INTEGER NOT NULL,
  status INTEGER NOT NULL,             -- 0: a crash left it open
  reason TEXT NOT NULL,
  provider TEXT,                       -- of the attempt that answered
  model TEXT,
  attempts INTEGER NOT NULL,
  baseline_target TEXT,
  baseline_micro INTEGER,
  baseline_rest INTEGER,
  saving_micro INTEGER,
  saving_rest INTEGER,
  decision_no INTEGER REFERENCES decision (no), -- NULL: none is known
  decision_figures TEXT                -- what fills the holes, with commas between
) STRICT;

CREATE INDEX request_started ON request (started_us);
CREATE INDEX request_client_id ON request (client_request_id) WHERE client_request_id IS NOT NULL;

-- What decisions say, with a hole (U+0001) for each figure. Requests share a text; the figures are theirs.
CREATE TABLE decision (
  no INTEGER PRIMARY KEY,
  hash INTEGER NOT NULL,               -- FNV-1a of the text, to find it by
  text TEXT NOT NULL
) STRICT;

CREATE INDEX decision_hash ON decision (hash);

-- The attempts of a request lie side by side under numbers that follow from its own, so that neither their ids nor
-- their requests need an index.
CREATE TABLE attempt (
  no INTEGER PRIMARY KEY,              -- request_no * 256 + its place in the store
  id BLOB NOT NULL,
  request_no INTEGER NOT NULL REFERENCES request (no) CHECK (request_no = no >> 8),
  seq INTEGER NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  upstream_key INTEGER NOT NULL,
  started_us INTEGER NOT NULL,
  duration_us INTEGER,
  ttft_us INTEGER,
  outcome TEXT NOT NULL,
  status INTEGER,
  error TEXT,
  excerpt TEXT,
  served_model TEXT,
  finish TEXT,
  input INTEGER NOT NULL,
  cache_read INTEGER NOT NULL,
  cache_write_5m INTEGER NOT NULL,
  cache_write_1h INTEGER NOT NULL,
  input_audio INTEGER NOT NULL,
  cache_read_audio INTEGER NOT NULL,
  input_image INTEGER NOT NULL,
  output INTEGER NOT NULL,
  reasoning INTEGER NOT NULL,
  output_audio INTEGER NOT NULL,
  output_image INTEGER NOT NULL,
  web_search INTEGER NOT NULL,
  usage_estimated INTEGER NOT NULL,
  cost_micro INTEGER,
  cost_rest INTEGER,
  cost_basis TEXT NOT NULL,
  cost_unknown TEXT,                   -- why no price is known
  vendor_micro INTEGER,
  vendor_rest INTEGER,
  catalogue_version TEXT NOT NULL,
  price_lines TEXT                     -- [[bucket, units, pico-dollars per unit], …]; their sum is the cost
) STRICT;

-- The bills as rows. Stored with the attempt: a call has three to five lines, and a row each would double the work.
CREATE VIEW price_line AS
SELECT a.no AS attempt_no, l.key AS line, l.value ->> 0 AS bucket, l.value ->> 1 AS units, l.value ->> 2 AS pico_per_unit
FROM attempt a, json_each(a.price_lines) l;

-- Append-only: what became known of an attempt after its row was written. A cost here is added to the attempt's.
CREATE TABLE adjustment (
  no INTEGER PRIMARY KEY,
  attempt_no INTEGER NOT NULL REFERENCES attempt (no),
  at_us INTEGER NOT NULL,
  kind TEXT NOT NULL,
  cost_micro INTEGER,
  cost_rest INTEGER,
  note TEXT
) STRICT;

CREATE INDEX adjustment_attempt ON adjustment (attempt_no);
