"""Why a link does not go on, as errors for whoever waits."""

from __future__ import annotations

from chatkit.behaviour import Kind
from chatkit.client.host import Host
from chatkit.errors import AuthError, ConnectFailed, ConnectionEnded
from chatkit.policy.reconnect import Decision, Loss


def auth_error(decision: Decision, host: Host) -> AuthError:
    """The token is refused for good."""
    credentials = host.api.credentials
    claims = credentials.claims
    return AuthError(
        f"the backend refused the token: {decision.hint}",
        expired_at=claims.exp if claims else None,
        got=f"token {credentials.words()}",
        remedy="log in again or give another token",
    )


def final_error(decision: Decision, loss: Loss, host: Host, last: BaseException | None) -> BaseException:
    """Nothing more is tried; ``last`` is what stopped the last attempt."""
    target = host.recorder.redactor.text(host.api.base)
    if decision.kind is Kind.FORBIDDEN:
        return AuthError(decision.hint, refused_by=target, remedy=decision.remedy)
    if decision.kind is Kind.NOT_FOUND:
        return ConnectFailed(decision.hint, target=target, stage=loss.stage, status=loss.status, remedy=decision.remedy)
    return last if last is not None else ConnectionEnded(decision.hint, remedy=decision.remedy)
