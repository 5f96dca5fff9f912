"""A download's progress, in whole megabytes."""

from __future__ import annotations

from p2pbench.system.counting import Count


class Megabytes:
    """A progress bar as pooch wants one, which passes on (megabytes done, megabytes in all)."""

    def __init__(self, progress: Count) -> None:
        self.progress = progress
        self.done = self.total = 0

    def update(self, n: int) -> None:
        self.done = min(self.done + n, self.total)
        if self.total >= 10**6:  # 0 where the server does not say
            self.progress(self.done // 10**6, self.total // 10**6)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        pass
