"""Answers in, text out: one module a format. A renderer knows documents only and computes nothing."""
