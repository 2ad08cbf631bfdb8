"""The review page in a real Chromium: paste, score, see, correct, and nothing of a transcript runs."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from riskmodel import RiskModel
from service.app import create_app
from service.settings import Settings
from service.store import read_feedback

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install selenium")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="no Chromium here: apt-get install chromium chromium-driver"
)
TEXT = "用户：东西三天还没到\n客服：您好，正在核实\n用户：再不处理我就打12315，你们这群骗子"
SCRIPT = "用户：<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>我要打12315投诉\n客服：<b>好</b>"


@pytest.fixture(scope="module")
def page_model(request: pytest.FixtureRequest) -> RiskModel:
    found: RiskModel = request.getfixturevalue("model")
    return found


@pytest.fixture(scope="module")
def site(page_model: RiskModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    store = tmp_path_factory.mktemp("page") / "s.db"
    app = create_app(Settings(log="off", store=str(store)), model=page_model)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + 90
    while not server.started and time.monotonic() < end:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/", store
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--lang=zh-CN", "--window-size=1280,1000"):
        options.add_argument(flag)
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


class Page:
    """What a person does on the page."""

    def __init__(self, driver: Any, url: str, theme: str = "", lang: str = "zh") -> None:
        self.driver = driver
        driver.get(url)
        driver.execute_script("localStorage.setItem('riskmodel.lang', arguments[0]); localStorage.setItem('riskmodel.theme', arguments[1])", lang, theme)
        driver.get(url)
        self.until(lambda: self.text("#score"))

    def until(self, condition: Any, timeout_s: float = 60) -> Any:
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if found := condition():
                return found
            time.sleep(0.05)
        raise AssertionError(self.driver.get_log("browser"))

    def all(self, css: str) -> list[Any]:
        return list(self.driver.find_elements("css selector", css))

    def one(self, css: str) -> Any:
        return self.driver.find_element("css selector", css)

    def text(self, css: str) -> str:
        return str(self.driver.execute_script("return document.querySelector(arguments[0])?.textContent ?? ''", css))

    def score(self, text: str) -> None:
        self.driver.execute_script("document.getElementById('found').hidden = true")
        self.one("#clear").click()
        self.driver.execute_script("document.getElementById('transcript').value = arguments[0]", text)
        self.one("#transcript").send_keys("\ue009\ue007")  # Ctrl + Enter
        self.until(lambda: self.one("#found").is_displayed())


@pytest.fixture
def page(chromium: Any, site: tuple[str, Path]) -> Page:
    return Page(chromium, site[0])


def test_paste_score_see(page: Page) -> None:
    page.score(TEXT)
    assert page.text("#level") in ("升级风险", "疑似危机")
    assert [e.get_attribute("class").split()[1] for e in page.all(".turn")] == ["customer", "agent", "customer"]
    assert "12315" in [m.text for m in page.all("mark.threat")]
    page.until(lambda: len(page.all(".dot")) == 3)
    assert page.until(lambda: page.all("#turn-2.decides"))
    assert "3" in page.text("#deciding")
    first = page.until(lambda: page.text("#actions time"))
    page.until(lambda: page.text("#actions time") != first, 4)
    page.driver.execute_script("document.querySelector('mark').dispatchEvent(new Event('mouseenter'))")
    assert "声称" in page.text(".tip") or "已发生" in page.text(".tip")


def test_heat_map_on_demand(page: Page) -> None:
    page.score(TEXT)
    select = page.one("#heat")
    select.find_element("css selector", "option[value=regulator_complaint]").click()
    page.until(lambda: len(page.all("#turn-2 .bubble span")) > 10)
    assert page.text("#turn-2 .bubble") == "再不处理我就打12315，你们这群骗子"


def test_correct_a_level_and_a_signal_with_two_clicks_each(page: Page, site: tuple[str, Path]) -> None:
    page.score(TEXT)
    page.one("#level").click()
    page.until(lambda: page.all("#menu button"))[1].click()
    page.until(lambda: page.text("#toast") == "已记下，谢谢")
    page.driver.execute_script("document.getElementById('toast').textContent = ''")
    next(m for m in page.all("mark.threat") if m.text == "12315").click()
    next(b for b in page.until(lambda: page.all("#menu button")) if "询问" in b.text).click()
    page.until(lambda: page.text("#toast") == "已记下，谢谢")
    (case,) = read_feedback(site[1])
    assert case["risk_level"] == "low"
    assert "regulator_complaint:asked" in case["turns"][2]["signals"]


def test_guard_holds_and_a_kind_message_is_sent(page: Page) -> None:
    page.score(TEXT)
    box = page.one("#message")
    box.send_keys("有本事你去投诉啊")
    page.until(lambda: "已拦下" in page.text("#decision"))
    assert not page.one("#send").is_enabled()
    assert "可以改为" in page.text("#decision")
    box.clear()
    box.send_keys("您好，我马上为您核实")
    page.until(lambda: "可以发送" in page.text("#decision"))
    page.one("#send").click()
    page.until(lambda: len(page.all(".turn")) == 4)


def test_a_transcript_is_shown_as_text_and_nothing_runs(page: Page) -> None:
    page.score(SCRIPT)
    assert page.driver.title == "客诉风险评估"
    assert page.text("#turn-0 .bubble").startswith("<img src=x onerror=")
    assert not page.all(".turn img, .turn script, .turn b")


HOSTILE = [
    "<svg onload=document.title='owned'>",
    "<iframe srcdoc='<script>parent.document.title=1</script>'>",
    "\"><img src=x onerror=document.title='owned'>",
    "</textarea><script>document.title='owned'</script>",
    "<a href=javascript:document.title='owned'>点我</a>",
    "<style>*{display:none}</style>",
    "<base href=//evil.example/>",
    "<details open ontoggle=document.title='owned'>",
    "{{constructor.constructor('document.title=1')()}}${document.title=1}",
    "\u202e<math><mtext></form><form><mglyph><style></math><img src onerror=document.title='owned'>",
]


def test_no_way_of_writing_a_script_runs(page: Page) -> None:
    """In what customer, agent and the evidence say, and in the name of a speaker."""
    before = page.driver.execute_script("return document.querySelectorAll('*').length - document.querySelectorAll('#found *').length")
    page.score("\n".join(f"{'客服' if i % 2 else '用户'}：{words}我要打12315投诉你们这群骗子{words}" for i, words in enumerate(HOSTILE)))
    assert len(page.all(".turn")) == len(HOSTILE)
    assert page.driver.title == "客诉风险评估"
    assert not page.all("#found iframe, #found script, #found style, #found base, #found a[href^=javascript], #found math, #found form form")
    assert not page.driver.execute_script(
        "return [...document.querySelectorAll('#found *')].some(e => [...e.attributes].some(a => a.name.startsWith('on')))"
    )
    shown = page.driver.execute_script("return [...document.querySelectorAll('.turn .bubble')].map(e => e.textContent).join('\\n')")
    for words in HOSTILE:
        assert words.removeprefix("\u202e") in shown
    after = page.driver.execute_script("return document.querySelectorAll('*').length - document.querySelectorAll('#found *').length")
    assert abs(after - before) < 25
    assert "owned" not in page.driver.title


def test_wrong_input_is_told_in_words(page: Page) -> None:
    page.one("#score").click()
    assert "没有读到会话" in page.until(lambda: page.text("#problem"))


def test_english_samples_dark_and_narrow(chromium: Any, site: tuple[str, Path]) -> None:
    page = Page(chromium, site[0], theme="dark", lang="en")
    assert page.driver.title == "Complaint risk"
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": True})
    try:
        page.one("#samples option[value='2']").click()
        page.until(lambda: page.one("#found").is_displayed())
        assert page.text("#level") == "critical"
        assert page.all("mark.red_line")
        background = chromium.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert max(int(x) for x in background[4:-1].split(",")) < 60
        assert chromium.execute_script("return document.documentElement.scrollWidth") <= 360
    finally:
        chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_keyboard_alone_is_enough(page: Page) -> None:
    page.score(TEXT)
    mark = next(m for m in page.all("mark.threat") if m.text == "12315")
    page.driver.execute_script("arguments[0].focus()", mark)
    mark.send_keys("\ue007")
    page.until(lambda: page.one("#menu").is_displayed())
    page.driver.switch_to.active_element.send_keys("\ue015")  # arrow down
    page.driver.switch_to.active_element.send_keys("\ue00c")  # escape
    assert not page.one("#menu").is_displayed()


def test_the_browser_has_nothing_to_complain_about(page: Page) -> None:
    page.score(TEXT)
    page.until(lambda: len(page.all(".dot")) == 3)
    found = [x for x in page.driver.get_log("browser") if x["level"] == "SEVERE"]
    assert not found
