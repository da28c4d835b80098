"""The slate model of Eide et al. and its parts."""
