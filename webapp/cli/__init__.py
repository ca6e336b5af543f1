"""Opens the door for administrators: ``flask --app wsgi users|workspaces|tokens|jobs|maintain|serve|demo|secret-key``.

A command turns its arguments into one call of the core and the answer into lines. It never decides.
"""

from flask import Flask

from webapp.cli import demo, jobs, maintain, secret_key, serve, tokens, users, workspaces


def register(app: Flask) -> None:
    """Add the commands to the app, one group for each noun."""
    groups = (users, workspaces, tokens, jobs, maintain, demo, secret_key)
    for group in (module.group for module in groups):
        app.cli.add_command(group)
    app.cli.add_command(serve.serve)
