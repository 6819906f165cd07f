"""The app's own identity in Azure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential


def identity_credential(client_id: str | None) -> TokenCredential:
    """The app's managed identity; on a developer's machine, whoever is signed in there."""
    from azure.identity import DefaultAzureCredential

    if client_id is None:
        return DefaultAzureCredential()
    return DefaultAzureCredential(managed_identity_client_id=client_id)
