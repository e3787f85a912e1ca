"""What networks are computed with: resampling, batch norm, and images laid out as convolutions like them."""
