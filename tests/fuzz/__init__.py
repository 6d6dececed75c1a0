"""Throws mutated documents at every border of the program: ``python -m tests.fuzz --help``.

A case is a valid document of this repository in which a few things were changed. It goes the whole way a user's would:
parsed, validated, answered, and the answer rendered. What may come out is an answer or one of the program's own errors;
neither may carry a control character of the document, and a page may not carry its markup. Every case is made from its
border, seed and number alone, so that a failure can be replayed.
"""
