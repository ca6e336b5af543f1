"""What is counted of jobs."""
