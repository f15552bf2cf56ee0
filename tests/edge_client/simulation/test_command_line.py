"""The command that stands below a table: without the places of somebody's files."""

from edge_client.simulation.studies.experiment_report import command_line


def test_places_of_corpora_are_left_out() -> None:
    given = ["experiment", "x", "--data", "/a", "--corpus", "en=ravdess:/b/c:d,de=emodb:e/f"]
    given += [
        "--corpus",
        "xx=synthetic",
        "--test",
        "emodb=/g",
        "--corpus",
        "ravdess",
        "--seeds",
        "3",
    ]
    shown = command_line(given).split()
    assert shown[3:] == [
        *("--data", "PATH", "--corpus", "en=ravdess:PATH,de=emodb:PATH"),
        *("--corpus", "xx=synthetic", "--test", "emodb=PATH", "--corpus", "ravdess"),
        *("--seeds", "3"),
    ]
