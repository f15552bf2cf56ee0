"""``edge-client experiment embeddings``: LDA and pLDA over vectors of whole utterances."""

from pathlib import Path
from typing import Any

from edge_client.commands.experiment.options import Config, Json, Out, Overwrite, Write
from edge_client.commands.experiment.place import ExperimentPlace
from edge_client.simulation.studies.language_settings import EmbeddingSettings
from shared.settings import options_of


@options_of(EmbeddingSettings)
def embeddings(
    *,
    given: dict[str, Any],
    out: Out = Path("runs/embeddings"),
    config: Config = None,
    overwrite: Overwrite = False,
    write: Write = None,
    json_: Json = False,
) -> None:
    """Compare clips by LDA and pLDA: equal-error rate of pairs, UAR, and a federation of sums.

    Each result's folder keeps what was fitted, with a card.

    Example: edge-client experiment embeddings --corpus en=ravdess:PATH --corpus de=emodb:PATH
    --vectors whisper-speech,speakers
    """
    from edge_client.simulation.report import table_of
    from edge_client.simulation.studies import embedding_report as report
    from edge_client.simulation.studies.embedding_study import execute_embeddings
    from edge_client.simulation.studies.experiment_report import markdown_table
    from shared.command import progress_console

    settings = EmbeddingSettings.collect(given, config)
    place = ExperimentPlace("embeddings", out, write)
    place.check()
    results = execute_embeddings(settings, out, progress_console(), overwrite=overwrite)
    report.draw_embeddings(results, settings.known, out / "embeddings.png")
    rows = {
        f"Clips compared, {settings.known} known": report.rows_of_embeddings(
            results, settings.known
        ),
        "LDA, pLDA by what is known of a speaker": report.rows_of_known_moods(results),
        "Each speaker a client": report.rows_of_sums(results),
    }
    text = "\n".join(f"{title}:\n\n{markdown_table(own)}" for title, own in rows.items())
    tables = [table_of(own, title) for title, own in rows.items()]
    languages = list(dict.fromkeys(result["tested_on"] for result in results))
    place.answer({"languages": languages, "results": results}, tables, text, as_json=json_)
