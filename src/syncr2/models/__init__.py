"""Models: where they come from, which bytes they are, how they are loaded; miniatures of them."""
