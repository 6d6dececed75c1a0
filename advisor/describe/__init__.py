"""Sources of a model: dimensions, a Hugging Face config, a shipped name. Each returns words of floor 0."""
