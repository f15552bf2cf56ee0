-- Each utterance says whether the device called its answer unsure. Before, it never did.

ALTER TABLE examples ADD COLUMN unsure INTEGER NOT NULL DEFAULT 0;

DROP VIEW recognitions;
CREATE VIEW recognitions AS SELECT
    id, heard_at, seconds, source, speaker, probabilities, label, discarded, names, front_end, unsure
    FROM examples;
