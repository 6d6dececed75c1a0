"""Small definitions of well-known networks, written from their papers, to be traced into operator tables."""
