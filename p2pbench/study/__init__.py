"""A study: the cells of a grid, their run folders, and how they are carried out."""
