"""The page where a person types a user code: a stand-in for Microsoft's."""

from __future__ import annotations

from html import escape


def make_form(user_code: str, name: str, username: str) -> str:
    """The form for a user code, and who will be signed in by it."""
    return f"""<p>This is the simulator's stand-in for Microsoft's sign-in page. Enter the code
that the program shows, and you are signed in as <strong>{escape(name)}</strong>
({escape(username)}), who does not exist.</p>
<form method="post" action="/device">
<label>Code <input name="user_code" value="{escape(user_code)}" autocomplete="off" autofocus
 required maxlength="12"></label>
<button name="answer" value="yes">Sign in</button>
<button name="answer" value="no">Decline</button>
</form>"""


def make_page(content: str) -> str:
    """A whole page around `content`, which is HTML."""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Enter code (simulated Entra ID)</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:4rem auto;padding:0 1rem}}
input{{font:inherit;letter-spacing:.15em;text-transform:uppercase}}button{{font:inherit}}</style>
</head><body><h1>Enter code</h1>
{content}
</body></html>
"""
