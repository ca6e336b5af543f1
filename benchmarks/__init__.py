"""What the product costs, beside the least that the same work can cost. ``make bench`` prints it.

``__main__`` runs it all; ``load`` is the driver, a process of its own; ``servers`` starts what is measured and reads
its processor time and memory; ``limit`` is the bare application that each row is judged by; ``cases`` says what is
asked; ``table`` writes it down. ``scale`` is a command by itself: whether questions grow dearer with the jobs.
"""
