-- Version 2. What somebody thought of an answer: a judge, the client. Never text of a prompt or an answer.

CREATE TABLE verdict (
  no INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE,             -- the same judgement again has the same id
  at_us INTEGER NOT NULL,
  request BLOB NOT NULL,               -- id of the client's request whose answer it is about
  source TEXT NOT NULL,                -- judge, feedback
  outcome TEXT NOT NULL,               -- better, same, worse; good, bad
  route TEXT,                          -- of that request
  target TEXT,                         -- who gave the answer
  against TEXT,                        -- what it was compared with
  key TEXT                             -- whose feedback
) STRICT;

CREATE INDEX verdict_at ON verdict (at_us);
