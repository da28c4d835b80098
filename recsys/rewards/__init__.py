"""From a request and its slates to numbers."""
