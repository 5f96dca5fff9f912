"""Models in a browser: the page, its API, and the server that keeps them responsive."""
