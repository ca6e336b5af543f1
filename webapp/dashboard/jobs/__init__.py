"""The pages of jobs: the list, one job, cancelling many, and the jobs of a filter as a file."""
