"""The model becomes running parts: pools, resource tree, sites, listeners."""
