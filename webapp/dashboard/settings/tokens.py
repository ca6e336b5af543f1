"""The API tokens of a workspace, among its settings: made here, shown once, revoked."""

import uuid
from datetime import UTC, date, datetime, time, timedelta

from flask import Response, current_app, g, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as AnyResponse
from wtforms import DateField, IntegerField, SelectMultipleField, StringField
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.validators import InputRequired, NumberRange, Optional
from wtforms.widgets import CheckboxInput

from webapp.core import audit
from webapp.core.bidi import isolate
from webapp.core.errors import Conflict, Invalid
from webapp.core.models import ApiToken, Scope
from webapp.core.workspaces import sponsors, tokens
from webapp.dashboard.auth import current_actor
from webapp.dashboard.confirmation import requires_password
from webapp.dashboard.forms import redirect_with_message, show_faults
from webapp.dashboard.settings import manager_pages, secret_page, settings_page

SCOPES = {
    Scope.READ: "read jobs and receive cancels",
    Scope.WRITE: "create jobs and report on them",
    Scope.CANCEL: "cancel any job of this workspace",
}
DEFAULT_OVERLAP = 7
"""Days that a token which was replaced goes on working, unless somebody chooses otherwise."""


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
        "Scopes",
        choices=[SelectChoice(scope.value, words) for scope, words in SCOPES.items()],
        option_widget=CheckboxInput(),
        validate_choice=False,
    )
    expires_at = DayField("Expires", [Optional()])

    @property
    def end(self) -> datetime | None:
        """The last moment of the day that was chosen."""
        return _end_of(self.expires_at.data)


class RotationForm(FlaskForm):  # type: ignore[misc]
    overlap = IntegerField("Days of overlap", [InputRequired("A number of days."), NumberRange(0, 90)])
    expires_at = DayField("Expires", [Optional()])


def _end_of(day: date | None) -> datetime | None:
    return datetime.combine(day, time.max, UTC) if day else None


def _default_day() -> date | None:
    """Return the last day of a token that is made today, unless somebody chooses another."""
    end = tokens.default_end(current_app.config["TOKEN_LIFETIME"])
    return end.date() if end else None


@manager_pages.get("/tokens")
def list_tokens() -> AnyResponse:
    scopes = [scope.value for scope in tokens.RUNNER_SCOPES]
    return _tokens_page(TokenForm(scopes=scopes, expires_at=_default_day()))


@manager_pages.post("/tokens")
@requires_password
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
    except Conflict as error:
        form.name.errors = [str(error)]
        return _tokens_page(form, 409)
    return _token_made_page(token, text)


def _token_made_page(token: ApiToken, text: str, replaced: ApiToken | None = None) -> Response:
    public_url = current_app.config["PUBLIC_URL"]
    return secret_page("settings/token_made.html", token=token, text=text, public_url=public_url, replaced=replaced)


def _tokens_page(form: TokenForm, status: int = 200) -> Response:
    listed = tokens.list_tokens(g.workspace.id)
    return settings_page(
        "settings/tokens.html",
        status=status,
        form=form,
        tokens=listed,
        without_sponsor=sponsors.list_without_sponsor(g.workspace.id, ApiToken),
        names=audit.get_names(ref for token in listed for ref in (token.created_by, token.sponsor_ref)),
    )


@manager_pages.get("/tokens/<uuid:token_id>/rotate")
def confirm_rotate_token(token_id: uuid.UUID) -> AnyResponse:
    form = RotationForm(overlap=DEFAULT_OVERLAP, expires_at=_default_day())
    return _rotation_page(tokens.get(g.workspace.id, token_id), form)


@manager_pages.post("/tokens/<uuid:token_id>/rotate")
@requires_password
def rotate_token(token_id: uuid.UUID) -> AnyResponse:
    """Create the successor of a token. The page itself answers, as when a token is created."""
    form, token = RotationForm(), tokens.get(g.workspace.id, token_id)
    if not form.validate():
        return _rotation_page(token, form, 422)
    overlap, end = timedelta(days=form.overlap.data or 0), _end_of(form.expires_at.data)
    try:
        new, text = tokens.rotate(g.membership, token_id, overlap=overlap, expires_at=end, by=current_actor())
    except Invalid as error:
        show_faults(form, error)
        return _rotation_page(token, form, 422)
    return _token_made_page(new, text, tokens.get(g.workspace.id, token_id))


def _rotation_page(token: ApiToken, form: RotationForm, status: int = 200) -> Response:
    return settings_page(
        "settings/token_rotate.html", status=status, token=token, form=form, back=url_for(".list_tokens")
    )


@manager_pages.get("/tokens/<uuid:token_id>/revoke")
def confirm_revoke_token(token_id: uuid.UUID) -> AnyResponse:
    token = tokens.get(g.workspace.id, token_id)
    return settings_page("settings/token_revoke.html", token=token, back=url_for(".list_tokens"))


@manager_pages.post("/tokens/<uuid:token_id>/revoke")
@requires_password
def revoke_token(token_id: uuid.UUID) -> AnyResponse:
    token = tokens.revoke(g.membership, token_id, by=current_actor())
    return redirect_with_message(f"The token {isolate(token.name)} is refused from now on.", ".list_tokens")


@manager_pages.post("/tokens/<uuid:token_id>/adopt")
@requires_password
def adopt_token(token_id: uuid.UUID) -> AnyResponse:
    token = tokens.adopt(g.membership, token_id, by=current_actor())
    return redirect_with_message(f"The token {isolate(token.name)} works again, and you stand for it.", ".list_tokens")
