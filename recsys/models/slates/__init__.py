"""Models of clicks on slates: the slate model of Eide et al. and baselines of click rates."""
