"""Parts of screens, each drawn from one document."""
