"""One thread that runs the models, and a short queue before it: a request that finds it full is refused at once."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from contextlib import contextmanager
from typing import TypeVar

from p2pbench.demo.upload import Refused

QUEUE = 8
"""The most requests that wait or are decoded while one is translated."""
SECONDS = 30.0
"""The most seconds that a request may take, waiting included."""
Answer = TypeVar("Answer")


class Queue:
    """Runs one job after another, in one thread: torch uses all cores for each."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self._places = threading.BoundedSemaphore(QUEUE + 1)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="translate")
        self._usual = 0.5
        """The running mean of the seconds that a job takes."""

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place in the queue while the block runs. Raises :class:`Refused` (503) where there is none."""
        if not self._places.acquire(blocking=False):
            wait = max(1, round(self._usual * QUEUE))
            raise Refused(503, f"the server is busy; try again in {wait} s", retry_after=wait)
        try:
            yield
        finally:
            self._places.release()

    def run(self, job: Callable[[Callable[[], None]], Answer], gone: Callable[[], bool]) -> Answer:
        """The result of ``job``, which is given a function to call now and then; it ends a job that nobody waits for.

        Args:
            gone: returns whether the client has disconnected.
        Raises:
            Refused: 504 after ``seconds``.
        """
        until = time.monotonic() + self.seconds
        late = Refused(504, f"this took more than {self.seconds:g} s and was stopped; send a smaller picture")

        def still_wanted() -> None:
            if time.monotonic() > until:
                raise late
            if gone():
                raise Refused(499, "the client has disconnected")

        def timed() -> Answer:
            still_wanted()
            start = time.monotonic()
            answer = job(still_wanted)
            self._usual += 0.2 * (time.monotonic() - start - self._usual)
            return answer

        future: Future[Answer] = self._worker.submit(timed)
        try:
            return future.result(timeout=self.seconds)
        except Late:
            future.cancel()
            raise late from None
