"""The app's own identity in Azure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential


def identity_credential(client_id: str | None) -> TokenCredential:
    """The app's managed identity; on a developer's machine, the developer's own sign-in.

    Args:
        client_id: of the user-assigned identity; None: the identity that the machine offers.
    """
    from azure.identity import DefaultAzureCredential

    if client_id is None:
        return DefaultAzureCredential()
    return DefaultAzureCredential(managed_identity_client_id=client_id)
