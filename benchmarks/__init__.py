"""Measures what the product costs beside the least that the same work can cost. ``make bench`` prints it.

``__main__`` runs it all; ``load`` is the driver, a process of its own; ``servers`` starts what is measured and reads
its processor time and memory; ``limit`` is the bare application that each row is compared with; ``cases`` defines the
requests; ``table`` formats the figures. ``scale``, ``watch`` and ``retain`` are commands of their own.
"""
