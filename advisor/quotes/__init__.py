"""The buyer's own quotes: price lists of vendors as people have them, read, checked, and kept."""
