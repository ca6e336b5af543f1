"""Kills the board in every way while runners report to it, and looks for what was lost. ``make torture`` runs it.

``trials`` are the ways; ``board`` starts, kills and freezes real servers and databases; ``load`` plays runners and an
operator, who write down in a ``journal`` what the board acknowledged; ``verify`` compares the database with that.
"""
