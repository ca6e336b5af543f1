"""The door for administrators: ``flask --app wsgi users|workspaces|tokens|jobs|maintain|serve|demo``.

A command translates words into one question to the core and the answer into lines. It never decides.
"""

from flask import Flask

from webapp.cli import demo, jobs, maintain, serve, tokens, users, workspaces


def register(app: Flask) -> None:
    """Hang the commands onto the app, one group for each noun."""
    for group in (users.group, workspaces.group, tokens.group, jobs.group, maintain.group, demo.group):
        app.cli.add_command(group)
    app.cli.add_command(serve.serve)
