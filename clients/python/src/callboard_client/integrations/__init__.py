"""Report the tasks of other engines as jobs: one module for each, which needs that engine to be installed."""
