"""What acts: everything that answers a request with slates."""
