"""Public data sets and own tables, each as a source of canonical tables."""
