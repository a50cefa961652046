"""Contract tests for entries of the registries, to be called from the tests of the package that adds an entry."""
