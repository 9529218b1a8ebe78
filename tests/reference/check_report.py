"""Reads a page that `arcshard report` wrote, as XML and as HTML.

    check_report.py report.html FIGURES TEXT...

Fails unless the page is well-formed, has FIGURES figures with one picture each, contains each TEXT as text, and has nothing
that runs code or loads other files.
"""
import html.parser
import sys
import xml.etree.ElementTree as ElementTree

VOID = {"meta", "br", "hr", "img", "input", "link"}
SVG = {"svg", "g", "rect", "line", "path", "circle", "text", "title"}
KNOWN = SVG | set("html head meta style body main h1 h2 p span dl div dt dd small figure figcaption ul li table thead "
                  "tbody tr th td pre footer".split())


class Page(html.parser.HTMLParser):
    """Checks that the page has only known tags and that they are balanced, and collects its text."""

    def __init__(self):
        super().__init__()
        self.open, self.texts = [], []

    def handle_starttag(self, tag, attributes):
        assert tag in KNOWN, f"<{tag}> is not a tag of a report"
        for name, value in attributes:
            assert not name.startswith("on") and name not in ("src", "href", "style", "srcdoc"), (tag, name)
            assert "url(" not in (value or "") and "javascript:" not in (value or ""), (tag, name, value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data):
        self.texts.append(data)


def main():
    path, figures, wanted = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    with open(path, encoding="utf-8") as file:
        text = file.read()
    page = Page()
    page.feed(text)
    page.close()
    assert not page.open, f"tags that are not closed: {page.open}"
    for one in wanted:
        assert one in "".join(page.texts), f"not in the page: {one!r}"
    root = ElementTree.fromstring(text)
    xhtml = "{http://www.w3.org/1999/xhtml}"
    found = root.findall(f".//{xhtml}figure")
    assert len(found) == figures, f"{len(found)} figures"
    for figure in found:
        pictures = [svg for svg in figure if svg.tag == f"{xhtml}svg"]
        assert len(pictures) == 1 and pictures[0].get("aria-label"), ElementTree.tostring(figure)[:200]
    policy = root.find(f".//{xhtml}meta[@http-equiv='Content-Security-Policy']").get("content")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'", policy


main()
