-- What a device heard, and what its person said of it.

CREATE TABLE IF NOT EXISTS examples (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- a number once given never means another utterance
    heard_at TEXT NOT NULL,                -- UTC, ISO 8601
    seconds REAL NOT NULL,
    source TEXT NOT NULL,                  -- mic, wav or import
    speaker TEXT,
    probabilities TEXT,                    -- JSON, a list; NULL: there was no model
    label TEXT,                            -- what the person said; never a guess
    discarded INTEGER NOT NULL DEFAULT 0,
    checksum INTEGER NOT NULL,             -- CRC-32 of frames: SQLite sees no changed byte
    frames BLOB NOT NULL                   -- float32, little-endian, frame by frame, not normalised
);
CREATE INDEX IF NOT EXISTS examples_counted ON examples (label, discarded);
CREATE INDEX IF NOT EXISTS examples_same ON examples (checksum);
CREATE INDEX IF NOT EXISTS examples_first_out ON examples (id)
    WHERE label IS NULL OR discarded;
CREATE VIEW IF NOT EXISTS recognitions AS SELECT
    id, heard_at, seconds, source, speaker, probabilities, label, discarded FROM examples;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
