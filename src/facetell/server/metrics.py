"""What a server counts, as Prometheus reads it. Numbers only: nothing of any request's content."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)

from facetell.results import Reading

__all__ = ["Metrics"]


class Metrics:
    """Counters in a registry of their own, so that two apps in one process do not mix.

    Args:
        model: name of the model that is served.
        queued_images: how many images are waiting or in work right now.
        held_bytes: how many bytes of uploads are in memory right now.
    """

    def __init__(
        self, model: str, queued_images: Callable[[], int], held_bytes: Callable[[], int]
    ) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        Info("facetell_model", "The model that is served.", registry=registry).info({"name": model})
        self.requests = Counter(
            "facetell_requests", "Requests answered.", ["path", "status"], registry=registry
        )
        self.seconds = Histogram(
            "facetell_request_seconds", "Time from a request to its answer.", ["path"],
            registry=registry,
        )  # fmt: skip
        self.refused = Counter(
            "facetell_refused", "Requests not done, by reason.", ["reason"], registry=registry
        )
        self.images = Counter(
            "facetell_images", "Images read, or broken.", ["outcome"], registry=registry
        )
        self.faces = Counter("facetell_faces", "Faces scored.", registry=registry)
        self.batch_faces = Histogram(
            "facetell_batch_faces", "Faces in each call of the model.",
            buckets=(1, 2, 4, 8, 16, 32, 64), registry=registry,
        )  # fmt: skip
        self.live = Gauge("facetell_live_connections", "Open live connections.", registry=registry)
        self.frames = Counter(
            "facetell_live_frames", "Frames read, broken, or dropped for newer ones.", ["outcome"],
            registry=registry,
        )  # fmt: skip
        queue = Gauge("facetell_queue_images", "Images waiting or in work.", registry=registry)
        queue.set_function(queued_images)
        held = Gauge("facetell_held_bytes", "Bytes of uploads in memory.", registry=registry)
        held.set_function(held_bytes)

    def count_images(self, readings: list[Reading]) -> None:
        """Count what a request's images came to."""
        for reading in readings:
            self.images.labels("broken" if reading.error else "read").inc()
            self.faces.inc(len(reading.faces))

    def text(self) -> bytes:
        """All numbers in Prometheus' text format."""
        return generate_latest(self.registry)
