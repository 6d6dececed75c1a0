"""Published runs against the model: how far off it is, how sure it may be, and the constants that follow."""
