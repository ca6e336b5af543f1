"""Opens the door for administrators: ``flask --app wsgi users|workspaces|tokens|jobs|maintain|serve|demo``.

A command turns its arguments into one call of the core and the answer into lines. It never decides.
"""

from flask import Flask

from webapp.cli import demo, jobs, maintain, serve, tokens, users, workspaces


def register(app: Flask) -> None:
    """Add the commands to the app, one group for each noun."""
    for group in (users.group, workspaces.group, tokens.group, jobs.group, maintain.group, demo.group):
        app.cli.add_command(group)
    app.cli.add_command(serve.serve)
