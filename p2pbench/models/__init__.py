"""Generators and discriminators: one architecture a file, chosen by name in ``build.py``.

To add one, write a file beside ``unet.py``, give it a row in ``GENERATORS`` or ``DISCRIMINATORS`` of ``build.py``, and
add its name to ``GENERATOR_NAMES`` or ``DISCRIMINATOR_NAMES`` of the configuration. A network of your own needs no
change here: ``generator.name`` may be any ``module:function`` that takes the configuration and returns a module.
"""
