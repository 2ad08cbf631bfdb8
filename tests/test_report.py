"""The report: what it counts, what it shows, and that nothing of the data can run."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import orjson
import pytest

from riskmodel.conversation import Conversation
from riskmodel.errors import InputError
from riskmodel.report import write_report
from riskmodel.report_tally import Group, periods

_SCRIPT = "<script>document.title='hacked'</script><img src=x onerror=\"document.title='hacked'\">"


def _row(ident: str, level: str = "none", risk: float = 0.01, **more: object) -> dict[str, object]:
    names = ["none", "low", "high", "critical"]
    return {
        "id": ident,
        "level": level,
        "risk": risk,
        "levels": {n: 0.97 if n == level else 0.01 for n in names},
        "topic": "refund_return",
        "signals": {},
        "evidence": [],
        "reasons": [],
        "actions": [],
        "not_analysed": [],
        "model": {"name": "default", "version": "0.1.0", "digest": "cafe0123"},
    } | more


def _evidence(turn: int, text: str, whole: str, signal: str, status: str = "threatened", p: float = 0.98) -> dict[str, object]:
    start = whole.index(text)
    return {
        "turn": turn, "start": start, "end": start + len(text), "text": text, "signal": signal,
        "status": status, "source": f"rule:{signal}/test", "probability": p,
    }  # fmt: skip


_WORDS = "我叫张伟，再不退款我打12315，电话13812045678" + _SCRIPT
_ABUSE = "你爱找谁找谁，张伟先生"


@pytest.fixture
def scored(tmp_path: Path) -> Path:
    rows = [
        _row("n1"),
        _row(
            f"c1{_SCRIPT}",
            "critical",
            0.98,
            signals={
                "regulator_complaint": {"probability": 0.98, "status": "threatened", "turns": [0], "standing": True},
                "agent_stonewalling": {"probability": 0.95, "status": "done", "turns": [1], "standing": True},
                "media_exposure": {"probability": 0.2, "status": "asked", "turns": [0], "standing": False},
            },
            evidence=[
                _evidence(0, "打12315，电话138", _WORDS, "regulator_complaint"),
                _evidence(1, "爱找谁找谁", _ABUSE, "agent_stonewalling", "done"),
                _evidence(0, "退款", _WORDS, "media_exposure", "asked", 0.2),
            ],
            reasons=[{"feature": "words:退款", "weight": 0.61}, {"feature": f"words:{_SCRIPT}", "weight": -0.4}],
            actions=[{"action": "call_duty_manager", "due_in_s": 300, "because": "critical"}],
            not_analysed=[{"turn": 2, "reason": "picture"}],
        ),
    ]
    path = tmp_path / "scored.jsonl"
    path.write_bytes(b"".join(orjson.dumps(r) + b"\n" for r in rows))
    return path


@pytest.fixture
def conversations() -> list[Conversation]:
    return [
        Conversation.from_dict({"id": "n1", "agent_id": "KF01", "channel": "app", "turns": [{"text": "谢谢", "time": "2026-05-04T09:00:00"}]}),
        Conversation.from_dict(
            {
                "id": f"c1{_SCRIPT}",
                "agent_id": "王芳",
                "channel": f"电话{_SCRIPT}",
                "opened_at": "2026-05-05T10:00:00+08:00",
                "turns": [
                    {"speaker": "customer", "text": _WORDS, "time": "2026-05-05T10:00:00+08:00"},
                    {"speaker": "agent", "text": _ABUSE, "time": "2026-05-05T10:01:00+08:00"},
                    {"speaker": "customer", "text": "[图片]", "time": "2026-05-05T10:02:00+08:00"},
                ],
            }
        ),
    ]


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.marks: list[tuple[str, str]] = []
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "mark":
            self.marks.append((dict(attrs).get("class") or "", ""))
        self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self._inside.append("/" + tag)

    def handle_data(self, data: str) -> None:
        if self._inside and self._inside[-1] in ("script", "style"):
            return
        self.text += data
        if self._inside and self._inside[-1] == "mark":
            self.marks[-1] = (self.marks[-1][0], self.marks[-1][1] + data)


def _written(tmp_path: Path, *args: object, **options: object) -> str:
    output = tmp_path / "out" / "report.html"
    write_report(*args, output, **options)  # type: ignore[arg-type]
    assert [p.name for p in output.parent.iterdir()] == ["report.html"]
    return output.read_text("utf-8")


def test_content(scored, conversations, tmp_path):
    page = _Page(_written(tmp_path, scored, conversations))
    for words in (
        "2026-05-04 至 2026-05-05", "疑似危机", "退换货与退款", "职能机构投诉", "致电值班经理", "截止 05-05 10:07",
        "底线", "坐席回看", "推诿敷衍 1", "坐席1", "图片", "客户当时最想听到的一句话是什么",
    ):  # fmt: skip
        assert words in page.text, words
    assert ("threat", "打12315，电话") in page.marks
    assert ("threat", "[电话1]") in page.marks  # a number that marked words only touch is masked whole
    assert ("threat", "打12315，电话[电话1]") in page.marks  # the list of evidence
    assert ("red_line", "爱找谁找谁") in page.marks
    assert ("threat faint", "退款") in page.marks
    titles = [a.get("title") or "" for t, a in page.tags if t == "mark"]
    assert any("职能机构投诉 · 声称或附条件 · 0.98" in t for t in titles)


def test_personal_data_is_masked_by_default(scored, conversations, tmp_path):
    html = _written(tmp_path, scored, conversations)
    for personal in ("张伟", "13812045678", "电话138", "王芳"):
        assert personal not in html, personal
    assert "12315" in html
    plain = _written(tmp_path, scored, conversations, mask=False)
    assert "张伟" in plain
    assert "13812045678" in _Page(plain).text
    assert "未遮盖" in plain


def test_everything_is_escaped(scored, conversations, tmp_path):
    html = _written(tmp_path, scored, conversations, mask=False)
    page = _Page(html)
    assert sum(t == "script" for t, _ in page.tags) == 1
    assert not any(t == "img" for t, _ in page.tags)
    assert not any(k.startswith("on") for _, a in page.tags for k in a)
    assert _SCRIPT in page.text  # shown as text
    assert "script-src 'sha256-" in html


def test_nothing_is_fetched(scored, conversations, tmp_path):
    html = _written(tmp_path, scored, conversations)
    page = _Page(html)
    assert not any(t in ("link", "iframe", "object", "embed", "base") for t, _ in page.tags)
    assert not any(k in ("src", "href", "action", "srcset") for _, a in page.tags for k in a)
    assert not re.search(r"url\(|@import|https?://", html)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_without_conversations(scored, tmp_path, lang):
    page = _Page(_written(tmp_path, scored, None, lang=lang))
    assert "12315" in page.text
    assert ("未给出原始会话" if lang == "zh" else "only the words of evidence") in page.text
    assert not any("bubble" in (a.get("class") or "") for _, a in page.tags)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("as_mapping", [True, False])
def test_order_and_kind_of_conversations_do_not_matter(scored, conversations, tmp_path, order, as_mapping):
    extra = [Conversation.from_dict({"id": "not scored", "turns": [{"text": "？"}]})]
    given = (extra + conversations)[::order]
    passed = {c.id: c for c in given} if as_mapping else iter(given)
    assert _written(tmp_path, scored, passed) == _written(tmp_path, scored, conversations)


def test_only_the_riskiest_are_listed(tmp_path):
    path = tmp_path / "many.jsonl"
    path.write_bytes(b"".join(orjson.dumps(_row(f"c{i}", "high", i / 1000)) + b"\n" for i in range(500)))
    page = _Page(_written(tmp_path, path, None))
    cards = [a for t, a in page.tags if t == "details"]
    assert len(cards) == 200
    assert "c499" in page.text
    assert "c299" not in page.text
    assert "/ 500" in page.text


def test_evidence_of_another_transcript_marks_nothing(scored, tmp_path):
    other = [Conversation.from_dict({"id": f"c1{_SCRIPT}", "turns": [{"text": "别的话" * 20}]})]
    page = _Page(_written(tmp_path, scored, other))
    assert not any("别的话" in text for _, text in page.marks)


def test_very_long_conversations_are_cut(tmp_path):
    turns = [{"speaker": "customer", "text": f"第{i}句"} for i in range(10_000)]
    turns[5_000]["text"] = "我要打12315" + "很长" * 5_000
    row = _row("long", "high", 0.9, evidence=[_evidence(5_000, "12315", turns[5_000]["text"], "regulator_complaint")])
    path = tmp_path / "long.jsonl"
    path.write_bytes(orjson.dumps(row) + b"\n")
    html = _written(tmp_path, path, [Conversation.from_dict({"id": "long", "turns": turns})])
    assert len(html) < 100_000
    text = _Page(html).text
    assert "第4999句" in text
    assert "条消息从略" in text
    assert "字从略" in text


def test_an_empty_file_is_a_report(tmp_path):
    path = tmp_path / "empty.jsonl"
    path.write_bytes(b"")
    assert "没有会话" in _written(tmp_path, path, [])


@pytest.mark.parametrize("line", [b"{", b"[]", b"1", b'{"id": "a", "turns": []}', b"\xff\xfe", b'{"id":"a"'])
def test_a_file_that_is_not_scored(tmp_path, line):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(orjson.dumps(_row("a")) + b"\n" + line + b"\n")
    with pytest.raises(InputError, match=r"bad.jsonl, line 2.*riskmodel score") as caught:
        write_report(path, None, tmp_path / "r.html")
    assert "谢谢" not in str(caught.value)
    assert not (tmp_path / "r.html").exists()


def test_missing_file_and_language(tmp_path, scored):
    with pytest.raises(InputError, match="cannot be read"):
        write_report(tmp_path / "none.jsonl", None, tmp_path / "r.html")
    with pytest.raises(InputError, match="zh or en"):
        write_report(scored, None, tmp_path / "r.html", lang="fr")


def test_trend_columns():
    from datetime import date, timedelta

    first = date(2026, 1, 1)

    def unit(n: int) -> tuple[str, int]:
        name, columns = periods({first: Group(), first + timedelta(days=n - 1): Group()})
        return name, len(columns)

    assert unit(45) == ("day", 45)
    assert unit(46)[0] == "week"
    assert unit(400)[0] == "month"
    assert periods({}) == ("day", [])


@pytest.fixture(scope="module")
def browser():
    selenium = pytest.importorskip("selenium.webdriver", reason="the browser test needs selenium: pip install selenium")
    binary = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not binary or not driver:
        pytest.skip("the browser test needs Chromium: apt-get install -y chromium chromium-driver")
    options = selenium.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    from selenium.webdriver.chrome.service import Service

    chrome = selenium.Chrome(options=options, service=Service(driver))
    yield chrome
    chrome.quit()


def test_in_a_browser(browser, scored, conversations, tmp_path):
    _written(tmp_path, scored, conversations, mask=False)
    browser.get((tmp_path / "out/report.html").as_uri())
    assert browser.title == "会话风险报告 2026-05-04"
    assert _SCRIPT in browser.execute_script("return document.querySelector('.turn p').textContent")
    assert browser.execute_script("return document.scripts.length") == 1

    def shown() -> int:
        return int(browser.execute_script("return [...document.querySelectorAll('details.card')].filter(c => !c.hidden).length"))

    def choose(field: str, value: str) -> None:
        browser.execute_script(
            "const f = document.getElementById('filters'); f.reset(); f.elements[arguments[0]].value = arguments[1];"
            "f.dispatchEvent(new Event('input', {bubbles: true}))",
            field, value,
        )  # fmt: skip

    assert shown() == 2
    for field, value in (("level", "critical"), ("signal", "agent_stonewalling"), ("q", "爱找谁"), ("agent", "王芳"), ("q", "<script>")):
        choose(field, value)
        assert shown() == 1, (field, value)
    choose("q", "没有这样的话")
    assert shown() == 0
    assert browser.execute_script("return !document.getElementById('nothing').hidden")
    browser.execute_script("document.querySelector('button[data-set=agent][data-value=\"王芳\"]').click()")
    assert shown() == 1
    browser.execute_script("document.getElementById('all').click()")
    for width in (1280, 360):
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False})
        assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth"), width
    assert browser.get_log("browser") == []  # nothing blocked by the content policy, no error
    printed = browser.execute_cdp_cmd("Page.printToPDF", {})
    assert printed["data"].startswith("JVBER")


def test_no_way_of_writing_a_script_runs_in_a_browser(browser, tmp_path):
    ways = ["<svg onload=document.title='owned'>", "</script><script>document.title='owned'</script>", "'\"><img src=x onerror=document.title='owned'>",
            "]]><style>*{display:none}</style>", "<!--", "&lt;img src=x onerror=document.title='owned'&gt;", "{{7*7}}${7*7}"]  # fmt: skip
    rows, given = [], []
    for i, way in enumerate(ways):
        text = f"我要打12315{way}"
        rows.append(_row(f"{i}{way}", "high", 0.9, topic="refund_return", evidence=[_evidence(0, text, text, "regulator_complaint")]))
        turn = {"speaker": "customer", "text": text, "time": "2026-05-05T10:00:00+08:00"}
        given.append(Conversation.from_dict({"id": f"{i}{way}", "agent_id": way, "channel": way, "turns": [turn]}))
    path = tmp_path / "scored.jsonl"
    path.write_bytes(b"".join(orjson.dumps(r) + b"\n" for r in rows))
    _written(tmp_path, path, given, mask=False)
    browser.get((tmp_path / "out/report.html").as_uri())
    assert "owned" not in browser.title
    assert browser.execute_script("return document.scripts.length") == 1
    assert not browser.execute_script("return document.body.querySelectorAll('svg[onload], img, iframe, style').length")
    shown = browser.execute_script("return document.body.textContent")
    for way in ways:
        assert way in shown
    assert "49" not in browser.title
