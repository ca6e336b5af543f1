"""What is true. The rooms of the core know no request, no session cookie, no template and no address.

The doors (``webapp.dashboard``, ``webapp.api``, ``webapp.cli``) ask; the core decides and writes.
"""
