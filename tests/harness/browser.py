"""A Chromium without a screen, that talks to nobody but the page's server."""
import shutil
from pathlib import Path

from selenium import webdriver
from selenium.common.exceptions import (ElementClickInterceptedException,
                                        ElementNotInteractableException,
                                        StaleElementReferenceException)
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from . import until

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
         "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--window-size=1280,900",
         # no name is asked for, no other machine reached
         "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")


# A page changes under one's hands.
NOT_YET = (StaleElementReferenceException, ElementClickInterceptedException,
           ElementNotInteractableException)


class Browser:
    def __init__(self, directory, pictures):
        self.pictures = Path(pictures)
        self.pictures.mkdir(parents=True, exist_ok=True)
        profile = Path(directory) / "chromium"
        options = Options()
        options.binary_location = shutil.which("chromium")
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        self.driver = webdriver.Chrome(
            service=Service(shutil.which("chromedriver"),
                            log_path=str(Path(directory) / "chromedriver.log")),
            options=options)
        self.driver.set_page_load_timeout(60)

    def go(self, url):
        self.driver.get(url)

    def all(self, css):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def eventually(self, what, of):
        """What what() says, once the page is ready for it."""
        def ask():
            try:
                return what()
            except NOT_YET:
                return None
        return until(ask, of=of)

    def find(self, css):
        """The first that is shown, as soon as there is one."""
        return self.eventually(lambda: next(
            (e for e in self.all(css) if e.is_displayed()), None), css)

    def click(self, css):
        self.eventually(lambda: self.find(css).click() or True,
                        f"a click on {css}")

    def write(self, css, text):
        field = self.find(css)
        field.clear()
        field.send_keys(text)

    def choose(self, css, value):
        """A line of a menu: by what it says or by its value."""
        menu = Select(until(lambda: next(iter(self.all(css)), None), of=css))
        for o in menu.options:
            if value in (o.text.strip(), o.get_attribute("value")):
                # Skins hide menus behind their own; the page hears a change.
                self.driver.execute_script(
                    "arguments[0].value = arguments[1];"
                    "arguments[0].dispatchEvent(new Event('change',"
                    " {bubbles: true}));", menu._el, o.get_attribute("value"))
                return
        raise AssertionError(f"{css}: {[o.text for o in menu.options]}")

    def enter(self, css):
        """Into a frame, whose document has been loaded."""
        self.driver.switch_to.default_content()
        frame = self.find(css)
        self.driver.switch_to.frame(frame)
        until(lambda: self.driver.execute_script(
            "return document.readyState") == "complete"
            and "blank" not in self.driver.execute_script(
                "return document.location.href"), of=f"{css}'s document")

    def leave(self):
        self.driver.switch_to.default_content()

    def text(self, css="body"):
        return " ".join(e.text for e in self.all(css))

    def shows(self, text, css="body"):
        self.eventually(lambda: text in self.text(css), f"{text!r} in {css}")

    def picture(self, name):
        self.driver.save_screenshot(str(self.pictures / f"{name}.png"))

    def close(self):
        self.driver.quit()
