-- Each utterance says what it was recognised for. Before, there were four emotions, and one version
-- of one front end.

-- What the probabilities are of, in their order.
ALTER TABLE examples ADD COLUMN names TEXT NOT NULL DEFAULT 'angry,happy,neutral,sad';
-- What computed the frames: the front end's name and version.
ALTER TABLE examples ADD COLUMN front_end TEXT NOT NULL DEFAULT 'paper34 1';

DROP VIEW recognitions;
CREATE VIEW recognitions AS SELECT
    id, heard_at, seconds, source, speaker, probabilities, label, discarded, names, front_end
    FROM examples;

-- The new columns lie behind the frames; by an index they are found without reading these.
DROP INDEX examples_counted;
CREATE INDEX examples_chosen ON examples (front_end, discarded, label, names);

-- The running statistics are those of one front end.
UPDATE facts SET name = 'statistics paper34 1' WHERE name = 'statistics';
