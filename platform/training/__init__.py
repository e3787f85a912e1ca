"""One trial in plain PyTorch: trained, evaluated, left on disk."""
