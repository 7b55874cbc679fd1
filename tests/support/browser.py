"""Chromium without a window, over the DevTools protocol on pipes: no port and no other package."""

import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import time

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Starts the program with the ends of the pipes as file descriptors 3 and 4, its own for them.
START = (
    "import fcntl, os, sys;"
    "ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]];"
    "[os.dup2(end, 3 + i) for i, end in enumerate(ends)];"
    "os.execvp(sys.argv[3], sys.argv[3:])"
)
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-extensions", "--disable-background-networking", "--disable-component-update"),
    *("--hide-scrollbars", "--remote-debugging-pipe", "--host-resolver-rules=MAP * ~NOTFOUND"),
)
PATIENCE = 120  # seconds, for what hangs


def program():
    """Return the browser's path, None where there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Browser:
    """A page in a browser; ``events`` are those that have come, as (method, parameters)."""

    def __init__(self, to, come):
        self._to, self._come, self._buffer = to, come, b""
        self._numbers, self._session, self.events = itertools.count(1), None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        """Call a method of the protocol and return its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def _next(self):
        """Return the next message."""
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._come], [], [], max(end - time.monotonic(), 0))
            assert ready, "the browser does not answer"
            part = os.read(self._come, 1 << 16)
            assert part, "the browser has ended"
            self._buffer += part
        text, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(text)
        if "method" in message:
            self.events.append((message["method"], message["params"]))
        return message

    def open(self, path, width, scheme):
        """Load a file at a width in pixels, in light or dark colours."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        while not any(method == "Page.loadEventFired" for method, _ in self.events):
            self._next()

    def value(self, expression):
        """Return the value of an expression in the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def screenshot(self, path):
        """Write a picture of the whole page."""
        import base64

        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        taken = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(taken["data"]))


@contextlib.contextmanager
def start(folder):
    """Start the browser, with its files in that folder; it is ended when the block is."""
    (theirs_in, to), (come, theirs_out) = os.pipe(), os.pipe()
    command = [sys.executable, "-c", START, str(theirs_in), str(theirs_out), program(), *OPTIONS]
    command += [f"--user-data-dir={folder}", f"--crash-dumps-dir={folder}", "about:blank"]
    environment = {**os.environ, "HOME": str(folder)}
    with subprocess.Popen(
        command,
        pass_fds=(theirs_in, theirs_out),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd=folder,
    ) as process:
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            yield Browser(to, come)
        finally:
            os.close(to)  # which ends it, and its children with it
            os.close(come)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
