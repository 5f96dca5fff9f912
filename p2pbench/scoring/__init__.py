"""Scores: one pass over outputs and targets (``evaluate.py``) gives every one that was asked for.

To add a score, give it a row in ``METRICS`` of ``config/metrics.py`` (label, unit, direction), which makes its name
valid everywhere. A function of one output and its target is then an entry of ``FUNCTIONS`` in ``paired.py``, and that
is all. A score of whole sets, made of a network's features, is a branch of ``of_features`` in ``distribution.py``; with
its value it gives what it is without each image (``jackknife.py``), by which reports compare it over seeds and images.
Until its marks were seen to hold it is ``marked=False``. A score of your own is any ``module:function``;
``measure_custom`` in ``paired.py`` says what it takes and returns.
"""
