"""What networks are computed with: resampling, and images laid out as convolutions like them."""
