"""How to connect a runner: the first calls, with this board's address and this workspace's name in them."""

from flask import current_app, render_template

from webapp.dashboard.scope import workspace


@workspace.get("/connect")
def connect() -> str:
    return render_template("connect/page.html", public_url=current_app.config["PUBLIC_URL"])
