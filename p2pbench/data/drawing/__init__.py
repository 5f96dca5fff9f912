"""How :mod:`p2pbench.data.drawn` draws: canvas and materials, the plan of a house, the house, the scene around it."""
