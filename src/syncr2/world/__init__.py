"""A toy social world whose hidden states are known, for miniature models that learn to talk in it.

Two people talk; each has a mood, trust, a demand. With a known strength, the coupling, what one does next
depends on signs of the other's hidden state. `docs/world.md` has the equations.
"""
