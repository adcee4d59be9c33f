"""A site's own template of directory pages: what is taken, and what the operator is told when it is not."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from siteferry_contract.descriptor import Descriptor
from siteferry_infra.functions import PROJECT, bundle, bundle_hash
from siteferry_infra.page_template import MAX_TEMPLATE_BYTES, TEMPLATE, layout_of
from siteferry_infra.settings import SettingsError, SiteSettings, load_sites
from tests.infra.conftest import synthesize

GOOD = """<!doctype html>
<html lang="de">
<head>
<meta charset="utf-8">
<title>{{title}} - Ferries</title>
<link rel="stylesheet" href="/style.css">
{{style}}
</head>
<body>
<h1>Ferries: {{title}}</h1>
{{breadcrumbs}}{{summary}}
<main>{{listing}}</main>
{{script}}
</body>
</html>
"""


def load(folder: Path, template: str | bytes, name: str = "pages/own.html") -> SiteSettings:
    """Read settings beside which there is a template."""
    file = folder / "pages" / "own.html"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(template if isinstance(template, bytes) else template.encode())
    (folder / "sites.toml").write_text(f"[sites.www]\npage_template = {name!r}\n")
    (site,) = load_sites(folder / "sites.toml")
    return site


def test_a_template_is_read_from_beside_the_settings(tmp_path: Path) -> None:
    """As text, without a byte order mark."""
    assert load(tmp_path, GOOD).page_template == GOOD
    assert load(tmp_path, b"\xef\xbb\xbf" + GOOD.encode()).page_template == GOOD


def test_the_built_in_template_is_one_that_a_site_may_use(tmp_path: Path) -> None:
    """It passes the check, so it can be copied and changed."""
    built_in = (PROJECT / "lambdas" / TEMPLATE).read_text()
    assert load(tmp_path, built_in).page_template == built_in


def test_a_template_needs_no_more_than_a_title_and_the_listing(tmp_path: Path) -> None:
    """Everything else may be left out."""
    text = (
        "<!DOCTYPE html><html lang=en><head><meta charset=UTF-8><title>{{title}}</title></head>"
        "<body>{{listing}}</body></html>"
    )
    assert load(tmp_path, text).page_template == text


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("{{listing}}", "", ["{{listing}} is missing", "put it where the table belongs"]),
        ("{{listing}}", "{{listing}}{{listing}}", ["{{listing}} is there 2 times", "keep one"]),
        (
            "{{listing}}",
            "{{ listing }}",
            ["'{{ listing }}' is no placeholder", "known are {{title}}", "without spaces"],
        ),
        ("{{summary}}", "{{count}}", ["'{{count}}' is no placeholder", "{{summary}}"]),
        ("{{listing}}", "<!-- {{listing}} -->", ["{{listing}} stands where nothing is shown", "between elements"]),
        ("{{listing}}", "<script>{{listing}}</script>", ["{{listing}} stands inside <script>"]),
        ("{{listing}}", "<template><p>{{listing}}</p></template>", ["{{listing}} stands inside <template>"]),
        ("{{listing}}", '<div title="{{listing}}"></div>', ["{{listing}} stands in a tag <div>"]),
        ("{{listing}}", "<div {{listing}}></div>", ["{{listing}} stands in a tag <div>"]),
        ("</main>", "</main {{title}}>", ["{{title}} stands where nothing is shown", "put it into <title>"]),
        ("<h1>", '<h1 id="{{title}}">', ["{{title}} stands in a tag <h1>"]),
        ("<title>{{title}}", "<title>{{title}}{{summary}}", ["{{summary}} stands inside <title>"]),
        ("<title>{{title}}", "<title>", ["its pages have no title", "put <title>{{title}}</title> into <head>"]),
        ("</title>", '</title><meta name="a" content="{{policy}}">', ["{{policy}} stands in a tag <meta>"]),
        (
            "</title>",
            "</title><meta http-equiv=Content-Security-Policy content='{{policy}}'>",
            ["{{policy}} stands in a tag <meta>", 'content="{{policy}}">'],
        ),
        (
            "</title>",
            '</title><meta http-equiv="Content-Security-Policy" content="{{policy}}">',
            ["{{policy}} allows the built-in style and script only, and there is <link>", "a policy of your own"],
        ),
        ("<!doctype html>", "", ["does not begin with <!DOCTYPE html>"]),
        ("</html>", "", ["does not end with </html>", "cut short"]),
        ("</body>", "", ["it has no <body>", "a whole HTML document"]),
        ('<meta charset="utf-8">', '<meta charset="latin-1">', ["does not say that it is UTF-8", "first into <head>"]),
        ('<meta charset="utf-8">', f'{" " * 1024}<meta charset="utf-8">', ["does not say that it is UTF-8"]),
        ("<main>", "{{script}}<main>", ["{{script}} is there 2 times"]),
    ],
)
def test_a_mistake_is_told(tmp_path: Path, old: str, new: str, parts: list[str]) -> None:
    """With the file, the key, the reason and the remedy."""
    assert GOOD.count(old) == 1
    with pytest.raises(SettingsError) as error:
        load(tmp_path, GOOD.replace(old, new))
    text = str(error.value)
    assert text.startswith(f"{tmp_path / 'sites.toml'}: sites.www.page_template: {tmp_path / 'pages' / 'own.html'}: ")
    for part in parts:
        assert part in text


def test_the_script_comes_after_the_listing(tmp_path: Path) -> None:
    """It looks for the table at once."""
    turned = GOOD.replace("{{script}}", "").replace("{{style}}", "{{style}}{{script}}")
    with pytest.raises(SettingsError, match=r"{{script}} stands before {{listing}}, .*put it before </body>"):
        load(tmp_path, turned)


@pytest.mark.parametrize(
    ("template", "name", "reason"),
    [
        (GOOD, "none.html", "none.html cannot be read: No such file or directory; give the path"),
        (GOOD, "pages", "pages cannot be read: Is a directory; give the path"),
        (GOOD.encode() + b"\xe9", "pages/own.html", "is not UTF-8: .*; save it as UTF-8"),
        (GOOD + " " * MAX_TEMPLATE_BYTES, "pages/own.html", r"has \d+ bytes, in every page; use at most 65536"),
    ],
)
def test_a_file_that_cannot_be_used_is_told(tmp_path: Path, template: str | bytes, name: str, reason: str) -> None:
    """With its path."""
    with pytest.raises(SettingsError, match=f"sites.www.page_template: .*{reason}"):
        load(tmp_path, template, name)


def test_the_layout_changes_with_the_template() -> None:
    """So the agent can have the pages written again."""
    assert re.fullmatch("[0-9a-f]{12}", layout_of(None))
    assert len({layout_of(None), layout_of(GOOD), layout_of(GOOD + " ")}) == 3


def test_the_bundle_has_the_sites_template_in_place_of_the_built_in(tmp_path: Path) -> None:
    """And another hash, so that a changed template is deployed."""
    bundle(tmp_path, "", GOOD)
    assert (tmp_path / TEMPLATE).read_text() == GOOD
    for end in (".css", ".js"):
        own = (tmp_path / TEMPLATE).with_suffix(end)
        assert own.read_bytes() == (PROJECT / "lambdas" / TEMPLATE).with_suffix(end).read_bytes()
    code = "from siteferry_lambdas.rendering import render; print(render('docs', []).decode())"
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    page = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    assert "<h1>Ferries: Index of /docs/</h1>" in page
    sources = PROJECT / "lambdas"
    assert len({bundle_hash(sources, ""), bundle_hash(sources, "", ""), bundle_hash(sources, "", GOOD)}) == 3


def test_each_site_gets_its_own_code_and_layout(tmp_path: Path) -> None:
    """Two sites of one app, of which one has a template."""
    (tmp_path / "own.html").write_text(GOOD)
    text = "[sites.plain]\n[sites.own]\npage_template = 'own.html'\n"
    stacks = synthesize(tmp_path / "out", text, folder=tmp_path)
    codes, layouts = set(), []
    for stack in stacks.values():
        codes |= {function["Code"]["S3Key"] for function in stack.properties("AWS::Lambda::Function")}
        (parameter,) = stack.properties("AWS::SSM::Parameter")
        layouts.append(Descriptor.from_json(stack.resolve(parameter["Value"])).page_layout)
    assert len(codes) == 2
    assert layouts == [layout_of(None), layout_of(GOOD)]
