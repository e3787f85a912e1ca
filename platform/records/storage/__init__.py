"""Where results lie: a folder or a bucket, and how processes keep out of each other's way there."""
