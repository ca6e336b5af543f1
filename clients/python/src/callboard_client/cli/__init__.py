"""The command ``callboard``: run any command as a job, and look at a board from a shell."""
