"""The API tokens of a workspace, among its settings: made here, shown once, revoked."""

import uuid
from datetime import UTC, datetime, time

from flask import Response, current_app, g, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import DateField, SelectMultipleField, StringField
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.validators import Optional
from wtforms.widgets import CheckboxInput

from webapp.core import audit
from webapp.core.bidi import isolate
from webapp.core.errors import Invalid
from webapp.core.models import ApiToken, Scope
from webapp.core.workspaces import sponsors, tokens
from webapp.dashboard.auth import current_actor
from webapp.dashboard.forms import redirect_with_message, show_faults
from webapp.dashboard.settings import manager_pages, secret_page, settings_page

SCOPES = {
    Scope.READ: "read jobs, and so hear of a cancel",
    Scope.WRITE: "create jobs and report how they go",
    Scope.CANCEL: "cancel any job of this workspace",
}


class DayField(DateField):
    """A day; whatever is none is answered with a sentence."""

    def process_formdata(self, valuelist: list[str]) -> None:
        try:
            super().process_formdata(valuelist)
        except ValueError:
            raise ValueError("A day, as in 2026-11-24, or nothing.") from None


class TokenForm(FlaskForm):  # type: ignore[misc]
    name = StringField("Name")
    scopes = SelectMultipleField(
        "It may",
        choices=[SelectChoice(scope.value, words) for scope, words in SCOPES.items()],
        option_widget=CheckboxInput(),
        validate_choice=False,
    )
    expires_at = DayField("Good until", [Optional()])

    @property
    def end(self) -> datetime | None:
        """The last moment of the day that was chosen."""
        day = self.expires_at.data
        return datetime.combine(day, time.max, UTC) if day else None


@manager_pages.get("/tokens")
def list_tokens() -> AnyResponse:
    return _tokens_page(TokenForm(scopes=[scope.value for scope in tokens.RUNNER_SCOPES]))


@manager_pages.post("/tokens")
def create_token() -> AnyResponse:
    """Create a token. The page itself answers: behind a redirect the secret would travel in an address or a cookie."""
    form = TokenForm()
    if not form.validate():
        return _tokens_page(form, 422)
    try:
        token, text = tokens.create(
            g.membership, form.name.data or "", scopes=form.scopes.data or (), expires_at=form.end, by=current_actor()
        )
    except Invalid as error:
        show_faults(form, error)
        return _tokens_page(form, 422)
    public_url = current_app.config["PUBLIC_URL"]
    return secret_page("settings/token_made.html", token=token, text=text, public_url=public_url)


def _tokens_page(form: TokenForm, status: int = 200) -> Response:
    # The revoked ones stand last: nothing can be done with them.
    in_order = sorted(tokens.list_tokens(g.workspace.id), key=lambda token: token.revoked_at is not None)
    return settings_page(
        "settings/tokens.html",
        status=status,
        form=form,
        tokens=in_order,
        without_sponsor=sponsors.list_without_sponsor(g.workspace.id, ApiToken),
        names=audit.get_names(ref for token in in_order for ref in (token.created_by, token.sponsor_ref)),
    )


@manager_pages.get("/tokens/<uuid:token_id>/revoke")
def confirm_revoke_token(token_id: uuid.UUID) -> AnyResponse:
    token = tokens.get(g.workspace.id, token_id)
    return settings_page("settings/token_revoke.html", token=token, back=url_for(".list_tokens"))


@manager_pages.post("/tokens/<uuid:token_id>/revoke")
def revoke_token(token_id: uuid.UUID) -> AnyResponse:
    token = tokens.revoke(g.membership, token_id, by=current_actor())
    return redirect_with_message(f"The token {isolate(token.name)} is refused from now on.", ".list_tokens")


@manager_pages.post("/tokens/<uuid:token_id>/adopt")
def adopt_token(token_id: uuid.UUID) -> AnyResponse:
    token = tokens.adopt(g.membership, token_id, by=current_actor())
    return redirect_with_message(f"The token {isolate(token.name)} works again, and you stand for it.", ".list_tokens")
