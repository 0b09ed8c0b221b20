"""The skill's program: one module per idea, the standard library only."""
