"""A trained generator as a function of pictures.

To add an inference mode, add its name to ``InferenceMode`` in ``config/sections.py``, and into :func:`inference` of
``modes.py`` what it does with norm layers and dropout. Every command that takes a mode then takes it.
"""
