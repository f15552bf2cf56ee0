"""What whoever sees updates can learn of the people behind them, with defences and without.

``genders.py`` says what an attacker guesses at, ``defences.py`` what it is given in place of an
update. ``updates.py`` makes the updates, ``inferences.py`` and ``reconstruction.py`` attack them,
``study.py`` does it all on a corpus, and ``picture.py`` draws it.
"""
